"""Keeps objects in S3 or a store that speaks its protocol, through boto3.

boto3 and not s3fs: s3fs takes aiobotocore, which pins botocore so tightly that an installer falls
back to releases many years old.
"""

from raybackfill.storage.s3.store import S3Store

__all__ = ["S3Store"]
