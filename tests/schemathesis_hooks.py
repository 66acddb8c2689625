"""Keeps the requests of schemathesis from ending the run that they are a part of."""

import schemathesis

MOST = 2**31 - 1


@schemathesis.hook
def before_call(context, case, kwargs):
    """Raises the rate limits that a request would give the caller's own organization or key."""
    body = case.body
    if not isinstance(body, dict):
        return
    holders = [body, body.get("rate_limit_overrides")]
    for holder in holders:
        if isinstance(holder, dict):
            for key in ("metadata", "data", "search", "upload", "compute", "rate_limit_override"):
                limit = holder.get(key)
                if type(limit) is int and 0 < limit <= MOST:
                    holder[key] = 1_000_000
