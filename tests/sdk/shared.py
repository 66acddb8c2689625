"""What the parts of the script share: clients, how a refusal looks, how lists are paged."""

import os

import mixpeek
from mixpeek import exceptions

URL = os.environ["WHARF_URL"]
ADMIN_KEY = os.environ["WHARF_ADMIN_KEY"]


def client(access_token, namespace=None):
    configuration = mixpeek.Configuration(host=URL, access_token=access_token)
    if namespace:
        configuration.api_key["NamespaceHeader"] = namespace
    return mixpeek.ApiClient(configuration)


def ok(operation):
    print(f"ok {operation}", flush=True)


def refused(kind, status, call, *arguments, **options):
    """The call must raise this exception; gives the error inside the parsed ErrorResponse."""
    try:
        call(*arguments, **options)
    except exceptions.ApiException as error:
        assert type(error) is kind, f"{type(error)} instead of {kind}: {error}"
        assert error.status == status
        response = error.data or mixpeek.ErrorResponse.from_json(error.body)
        assert isinstance(response, mixpeek.ErrorResponse), response
        assert response.success is False and response.status == status, response
        assert response.error.message and response.error.type, response
        return response.error
    raise AssertionError(f"{call.__name__} was not refused")


def ids(results, field):
    return [getattr(item, field) for item in results]


def check_pages(field, call, expected):
    """Every pagination parameter of a list operation, on a list of at least three items."""
    assert len(expected) >= 3

    def page(**options):
        return call(**options)

    def total_of(answer):
        found = getattr(answer, "total", None)
        return getattr(answer, "total_count", None) if found is None else found

    first = page(limit=2)
    assert ids(first.results, field) == expected[:2]
    assert first.pagination.page_size == 2
    assert first.pagination.total is None and first.pagination.total_pages is None
    assert first.pagination.next_page and first.pagination.previous_page is None
    cursor = first.pagination.next_cursor
    assert cursor
    if total_of(first) is not None:
        assert total_of(first) == len(expected)
    assert ids(page(page_size=2).results, field) == expected[:2]
    assert ids(page(limit=2, offset=1).results, field) == expected[1:3]
    second = page(limit=2, page=2)
    assert ids(second.results, field) == expected[2:4]
    assert second.pagination.page == 2 and second.pagination.previous_page
    for name in ("cursor", "next_cursor", "after"):
        assert ids(page(limit=2, **{name: cursor}).results, field) == expected[2:4], name
    counted = page(limit=2, include_total=True)
    assert counted.pagination.total == len(expected)
    assert counted.pagination.total_pages == (len(expected) + 1) // 2
    walked, options = [], {"limit": 1}
    while True:
        step = page(**options)
        walked += ids(step.results, field)
        if step.pagination.next_cursor is None:
            break
        options["cursor"] = step.pagination.next_cursor
    assert walked == expected, (walked, expected)
