"""A job's code: found, imported, hashed, bundled, loaded again from the bundle; and what it asks for."""

from raybackfill.code.importing import Code, bundle_job, load_job, modules_of, no_code
from raybackfill.code.signature import Signature, read_signature

__all__ = ["Code", "Signature", "bundle_job", "load_job", "modules_of", "no_code", "read_signature"]
