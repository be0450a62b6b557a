"""Decides which of the five errors a failed S3 request is, and what the operator should do."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    ResponseStreamingError,
    SSOError,
)
from urllib3.exceptions import HTTPError

from raybackfill.errors import RaybackfillError, SpecError, TransientError

CHECK_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, storage.profile or storage.anonymous"
GRANT = "grant s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket to these credentials"
TRY_AGAIN = "run it again, or resume, once it answers"

SPEC_CODES = {
    "NoSuchBucket": ("the bucket does not exist", "create it, or correct the URI or storage.endpoint_url"),
    "InvalidBucketName": ("this is not a bucket's name", "correct the URI"),
    "AccessDenied": ("these credentials have no permission", GRANT),
    "AllAccessDisabled": ("all access to the bucket is disabled", GRANT),
    "AccountProblem": ("there is a problem with the account", "ask its owner"),
    "InvalidAccessKeyId": ("the access key is not known to the store", CHECK_CREDENTIALS),
    "SignatureDoesNotMatch": ("the secret key is not the right one", CHECK_CREDENTIALS),
    "AuthorizationHeaderMalformed": ("the request was signed for another region", "set storage.region"),
    "PermanentRedirect": ("the bucket lies in another region", "set storage.region"),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "set the clock"),
    "InvalidObjectState": ("the object is archived", "restore it from the archive first"),
    "NoSuchKey": ("there is no such object", "correct the URI"),
}
"""Codes that mean: fix something and run again."""

ALIASES = {
    "301": "PermanentRedirect",
    "403": "AccessDenied",
    "Forbidden": "AccessDenied",
    "404": "NoSuchKey",
    "NotFound": "NoSuchKey",
    "409": "ConditionalRequestConflict",
    "OperationAborted": "ConditionalRequestConflict",
    "412": "PreconditionFailed",
    "416": "InvalidRange",
}
"""Replies to HEAD have no body and so no code but the status; some stores use another word."""

TRANSIENT_CODES = frozenset(
    {
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "RequestTimeout",
        "InternalError",
        "ServiceUnavailable",
        "ConditionalRequestConflict",
        "PriorRequestNotComplete",
        "429",
    }
)

CONFLICT = frozenset({"ConditionalRequestConflict"})
"""Another writer is at the same object at this moment: not a refusal yet."""

UNMET = frozenset({"PreconditionFailed", "NoSuchKey"})
"""The condition of a request does not hold (If-Match on a missing object is NoSuchKey)."""

UNKNOWN = frozenset({"NotImplemented"})
"""The store does not know the condition, and says so."""

EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"})

NETWORK_ERRORS = (HTTPClientError, IncompleteReadError, ResponseStreamingError, HTTPError, OSError)
"""What a connection that breaks raises, through botocore or, while a body is read, past it.

HTTPClientError covers refused connections, timeouts, closed connections, proxies and TLS.
"""

CREDENTIAL_ERRORS = (
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    CredentialRetrievalError,
    SSOError,
)

FOREIGN_ERRORS = (ClientError, BotoCoreError, HTTPError, OSError)
"""All that boto3 may raise for a request."""


@dataclass(frozen=True)
class Refusal:
    """A refusal that the caller asked to be told of. `retried`: an earlier try of the same request
    may have been done although its reply was lost."""

    code: str
    retried: bool


def refusal(error: ClientError) -> Refusal:
    """The error's code under its full name, and whether boto3 had tried before."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    tries = error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)
    return Refusal(ALIASES.get(code, code), tries > 0)


def translated(error: Exception, where: str, doing: str) -> RaybackfillError:
    """The error to raise for what boto3 raised while `doing` something ("GetObject") at `where`."""
    if isinstance(error, ClientError):
        return _answered(error, where, doing)
    if isinstance(error, CREDENTIAL_ERRORS):
        return SpecError(f"no usable AWS credentials ({_text(error)})", where=where, next=CHECK_CREDENTIALS)
    if isinstance(error, ParamValidationError):
        return SpecError(f"not a valid {doing} request ({_text(error)})", where=where, next="correct the URI")
    if isinstance(error, NETWORK_ERRORS):
        message = f"the store did not answer {doing} ({_text(error)})"
        return TransientError(message, where=where, next=TRY_AGAIN)
    return SpecError(
        f"{doing} could not be sent ({_text(error)})", where=where, next="check storage.* and the AWS config"
    )


def _answered(error: ClientError, where: str, doing: str) -> RaybackfillError:
    code = refusal(error).code
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = error.response.get("Error", {}).get("Message", "")
    reply = f"{doing}: {status} {code}" + (f", {said}" if said else "")
    if code in SPEC_CODES:
        message, step = SPEC_CODES[code]
        return SpecError(f"{message} ({reply})", where=where, next=step)
    if code in EXPIRED_CODES:
        message = f"the credentials expired ({reply})"
        return TransientError(message, where=where, next="renew them, then resume")
    if code.startswith("KMS."):
        return SpecError(f"the encryption key refused ({reply})", where=where, next="check storage.kms_key")
    if code in TRANSIENT_CODES or status >= 500:
        return TransientError(f"the store is overloaded or failing ({reply})", where=where, next=TRY_AGAIN)
    return SpecError(f"the store refused the request ({reply})", where=where, next="correct what it names")


def _text(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
