"""The operations around connections and syncs: organization, users, API keys, audit, webhooks, and what is left of namespaces and
buckets."""

import json
from datetime import datetime, timedelta, timezone

import mixpeek
from mixpeek import exceptions

from shared import ADMIN_KEY, check_pages, client, ids, ok, refused

EMAIL = "mate@harbour.test"


def around(connection, namespace):
    everywhere = client(ADMIN_KEY)
    organization(mixpeek.OrganizationsApi(everywhere))
    users(mixpeek.OrganizationUsersApi(everywhere))
    keys(mixpeek.OrganizationAPIKeysApi(everywhere))
    namespaces(mixpeek.NamespacesApi(everywhere), namespace)
    buckets(mixpeek.BucketsApi(everywhere))
    webhooks(mixpeek.WebhooksApi(everywhere))
    audit(mixpeek.OrganizationAuditApi(everywhere), connection)
    mixpeek.OrganizationUsersApi(everywhere).delete_user_organizations_email(EMAIL)
    refused(exceptions.NotFoundException, 404,
            mixpeek.OrganizationUsersApi(everywhere).get_user_organizations_email, EMAIL)
    ok("delete_user_organizations_email")


def organization(api):
    found = api.get_organization()
    assert found.organization_id and found.organization_name == "default", found
    assert found.rate_limits.metadata >= 1 and found.created_at and found.updated_at
    ok("get_organization")
    changed = api.update_organization(mixpeek.OrganizationUpdateRequest(
        organization_name="Harbour", billing_email="bills@harbour.test", metadata={"berths": 12},
        rate_limit_overrides=mixpeek.BaseRateLimits(metadata=5000, data=6000, search=10, upload=10, compute=700)))
    assert changed.organization_name == "Harbour" and changed.billing_email == "bills@harbour.test"
    assert changed.metadata == {"berths": 12} and changed.rate_limits.compute == 700, changed
    assert api.get_organization().organization_name == "Harbour"
    ok("update_organization")


def users(api):
    created = api.create_user_organizations(mixpeek.UserCreateRequest(
        email=EMAIL, user_name="A Mate", role=mixpeek.UserRole.ADMIN, metadata={"watch": "first"}))
    assert created["email"] == EMAIL and created["user_id"].startswith("usr_"), created
    assert (created["role"], created["status"], created["metadata"]) == ("admin", "active", {"watch": "first"})
    ok("create_user_organizations")
    refused(exceptions.ConflictException, 409, api.create_user_organizations,
            mixpeek.UserCreateRequest(email=EMAIL, user_name="Again"))
    ok("create_user_organizations twice")
    assert api.get_user_organizations_email(EMAIL)["user_id"] == created["user_id"]
    ok("get_user_organizations_email")
    listed = api.list_users_organizations(role="admin", status="active")
    assert EMAIL in [user["email"] for user in listed["results"]], listed
    ok("list_users_organizations")
    changed = api.update_user_organizations_email(EMAIL, mixpeek.UserUpdateRequest(
        user_name="First Mate", avatar_url="https://harbour.test/mate.png"))
    assert changed["user_name"] == "First Mate" and changed["role"] == "admin", changed
    ok("update_user_organizations_email")


def keys(api):
    soon = datetime.now(timezone.utc) + timedelta(days=30)
    created = api.create_key_organizations_users_email(EMAIL, mixpeek.APIKeyCreateRequest(
        name="deploy", description="for deploys", permissions=[mixpeek.Permission.READ, mixpeek.Permission.ADMIN],
        rate_limit_override=1000, expires_at=soon, allowed_origins=["https://*.harbour.test"]))
    assert created.key.startswith("sk_") and created.key_prefix == created.key[:10], created
    assert created.key_id.startswith("key_") and created.status.value == "active" and created.key_hash
    assert {p.value for p in created.permissions} == {"read", "admin"} and created.rate_limit_override == 1000
    assert abs(created.expires_at - soon) < timedelta(seconds=1)
    assert mixpeek.OrganizationsApi(client(created.key)).get_organization().organization_name == "Harbour"
    ok("create_key_organizations_users_email")
    plain = api.create_key_organizations_users_email(EMAIL, mixpeek.APIKeyCreateRequest(name="plain"))
    assert {p.value for p in plain.permissions} == {"read", "write", "delete"}, plain.permissions
    refused(exceptions.ForbiddenException, 403, mixpeek.OrganizationsApi(client(plain.key)).update_organization,
            mixpeek.OrganizationUpdateRequest(organization_name="Nobody's"))
    ok("create_key_organizations_users_email by default")
    scoped = api.create_key_organizations_users_email(EMAIL, mixpeek.APIKeyCreateRequest(
        name="scoped", scopes=[mixpeek.ResourceScopeInput(
            resource_type=mixpeek.ResourceTypeInput.NAMESPACE, resource_id="ns_nothing_*")]))
    refused(exceptions.ForbiddenException, 403,
            mixpeek.NamespacesApi(client(scoped.key)).get_namespace, "default")
    ok("create_key_organizations_users_email with scopes")
    listed = api.list_keys_organizations_users_email(EMAIL)
    assert {key["name"] for key in listed["results"]} == {"deploy", "plain", "scoped"}, listed
    assert not any("key" in key and str(key["key"]).startswith("sk_") for key in listed["results"])
    ok("list_keys_organizations_users_email")
    changed = api.update_key_organizations_users_email_name(EMAIL, "deploy", mixpeek.APIKeyUpdateRequest(
        description="for all deploys", permissions=[mixpeek.Permission.READ]))
    assert changed.description == "for all deploys" and [p.value for p in changed.permissions] == ["read"], changed
    ok("update_key_organizations_users_email_name")
    rotated = api.rotate_key_organizations_users_email_name(EMAIL, "deploy")
    assert rotated.key != created.key and rotated.key_id == created.key_id, rotated
    refused(exceptions.UnauthorizedException, 401, mixpeek.NamespacesApi(client(created.key)).get_namespace, "default")
    assert mixpeek.NamespacesApi(client(rotated.key)).get_namespace("default").namespace_id
    ok("rotate_key_organizations_users_email_name")
    gone = api.delete_key_organizations_users_email_name(EMAIL, "deploy")
    assert gone.success and gone.message, gone
    refused(exceptions.UnauthorizedException, 401, mixpeek.NamespacesApi(client(rotated.key)).get_namespace, "default")
    left = {key["name"] for key in api.list_keys_organizations_users_email(EMAIL)["results"]}
    every = {key["name"] for key in api.list_keys_organizations_users_email(EMAIL, include_revoked=True)["results"]}
    assert "deploy" not in left and "deploy" in every, (left, every)
    ok("delete_key_organizations_users_email_name")


def namespaces(api, namespace):
    changed = api.patch_namespace(namespace.namespace_id, mixpeek.PatchNamespaceRequest(description="for all tests"))
    assert changed.description == "for all tests" and changed.namespace_name == namespace.namespace_name
    ok("patch_namespace")
    renamed = api.update_namespace(namespace.namespace_id, mixpeek.UpdateNamespaceRequest(namespace_name="harbour-new"))
    assert renamed.namespace_name == "harbour-new" and renamed.namespace_id == namespace.namespace_id
    ok("update_namespace")
    empty = api.create_namespace(mixpeek.CreateNamespaceRequest(namespace_name="harbour-empty"))
    api.delete_namespace(empty.namespace_id)
    refused(exceptions.NotFoundException, 404, api.get_namespace, empty.namespace_id)
    ok("delete_namespace")
    refused(exceptions.ConflictException, 409, api.delete_namespace, "default")
    ok("delete_namespace default")


def buckets(api):
    bucket = api.create_bucket(mixpeek.BucketCreateRequest(
        bucket_name="changing", bucket_schema=mixpeek.BucketSchemaInput(properties={})))
    patched = api.patch_bucket(bucket.bucket_id, mixpeek.BucketPatchRequest(description="changes", metadata={"n": 1}))
    assert patched.description == "changes" and patched.metadata == {"n": 1}, patched
    ok("patch_bucket")
    updated = api.update_bucket(bucket.bucket_id, mixpeek.BucketUpdateRequest(bucket_name="changed"))
    assert updated.bucket_name == "changed" and updated.bucket_id == bucket.bucket_id
    assert api.get_bucket("changed").bucket_id == bucket.bucket_id
    ok("update_bucket")
    api.delete_bucket(bucket.bucket_id)


def webhook(name, **configs):
    settings = {"url": "https://hooks.harbour.test/wharf", "headers": {"X-Berth": "seven"}, **configs}
    return mixpeek.WebhookInput(
        webhook_name=name,
        event_types=[mixpeek.WebhookEventType("object.created"), mixpeek.WebhookEventType("object.deleted")],
        channels=[mixpeek.WebhookChannelInput(
            channel=mixpeek.NotificationChannel.WEBHOOK,
            configs=mixpeek.Configs.from_dict(settings))],
        is_active=False)


def webhooks(api):
    created = api.create_webhook_organizations(webhook("told", signing_secret="a-secret-between-us"))
    assert created.webhook_id.startswith("wh_") and created.webhook_name == "told", created
    assert [kind.value for kind in created.event_types] == ["object.created", "object.deleted"]
    assert created.is_active is False
    assert created.channels[0].configs.actual_instance.signing_secret == "redacted", created
    assert "a-secret-between-us" not in str(created.to_dict())
    ok("create_webhook_organizations")
    assert api.get_webhook_organizations(created.webhook_id).webhook_id == created.webhook_id
    ok("get_webhook_organizations")
    others = [api.create_webhook_organizations(webhook(f"told-{n}")).webhook_id for n in range(2)]
    check_pages("webhook_id", api.list_webhooks_organizations, [others[1], others[0], created.webhook_id])
    found = api.list_webhooks_organizations(
        list_webhooks_request=mixpeek.ListWebhooksRequest(event_type="object.deleted", is_active=False))
    assert len(found.results) == 3 and found.total == 3, found
    ok("list_webhooks_organizations")
    changed = api.update_webhook_organizations(created.webhook_id, webhook("told again", signing_secret="redacted"))
    assert changed.webhook_name == "told again", changed
    assert changed.channels[0].configs.actual_instance.signing_secret == "redacted"
    ok("update_webhook_organizations")
    for identifier in [created.webhook_id, *others]:
        assert api.delete_webhook_organizations(identifier) is None
    assert api.delete_webhook_organizations(created.webhook_id) is None
    refused(exceptions.NotFoundException, 404, api.get_webhook_organizations, created.webhook_id)
    ok("delete_webhook_organizations")


def audit(api, connection):
    listed = api.list_audit_logs_organizations(
        resource_type=mixpeek.ResourceTypeInput.STORAGE_CONNECTION, resource_id=connection.connection_id,
        action=mixpeek.AuditAction("storage_connection_created"), limit=10)
    assert listed.total == 1 and listed.skip == 0 and listed.limit == 10, listed
    row = listed.results[0]
    assert row.audit_id.startswith("aud_") and row.resource_id == connection.connection_id
    assert row.action == "storage_connection_created" and row.actor_email and row.actor_key_name, row
    assert api.list_audit_logs_organizations(actor_id=row.actor_id, limit=1).total > 20
    assert api.list_audit_logs_organizations(end="2001-01-01T00:00:00Z").results == []
    ok("list_audit_logs_organizations")
    assert api.get_audit_log_organizations(row.audit_id).audit_id == row.audit_id
    refused(exceptions.NotFoundException, 404, api.get_audit_log_organizations, "aud_0123456789abcdef")
    ok("get_audit_log_organizations")
    total = api.list_audit_logs_organizations(limit=1).total
    lines = [json.loads(line) for line in api.export_audit_logs_organizations().splitlines()]
    assert len(lines) >= total and all("audit_id" in line for line in lines), len(lines)
    times = [line["timestamp"] for line in lines]
    assert times == sorted(times, reverse=True)
    cut = [json.loads(line) for line in api.export_audit_logs_organizations(max_events=3).splitlines()]
    assert len(cut) == 4 and cut[3]["__truncated__"] is True and cut[3]["exported"] == 3, cut
    assert cut[3]["total"] >= total
    ok("export_audit_logs_organizations")
    assert api.get_audit_settings_organizations().read_auditing_enabled is False
    ok("get_audit_settings_organizations")
    on = api.update_audit_settings_organizations(mixpeek.AuditSettingsUpdateRequest(read_auditing_enabled=True))
    assert on.read_auditing_enabled is True
    mixpeek.NamespacesApi(client(ADMIN_KEY)).get_namespace("default")
    read = api.list_audit_logs_organizations(action=mixpeek.AuditAction("namespace_accessed"))
    assert read.total == 1, read
    api.update_audit_settings_organizations(mixpeek.AuditSettingsUpdateRequest(read_auditing_enabled=False))
    ok("update_audit_settings_organizations")
