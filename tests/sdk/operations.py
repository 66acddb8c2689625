"""The published SDK, unmodified, against a server: every operation, with the models it parses answers into.

Prints `ok <operation>` for each thing that went as it should; anything else is a traceback. The environment says where the
server and the lab are: WHARF_URL, WHARF_ADMIN_KEY, WHARF_READ_KEY, LAB_URL, LAB_ACCESS_KEY_ID, LAB_SECRET_ACCESS_KEY,
LAB_BUCKET (its objects are LAB_OBJECTS, a JSON object of key and text), LAB_WRECKS (another bucket, with `afloat.txt` and
`sunk.txt`, the second of which may not be read until the lab's faults are taken away).
"""

import json
import os
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone

import mixpeek
from mixpeek import StorageProvider, SyncJobStatus, SyncJobTrigger, SyncMode, TaskStatusEnum, exceptions

from organization import around
from shared import ADMIN_KEY, URL, check_pages, client, ids, ok, refused

LAB_BUCKET = os.environ["LAB_BUCKET"]
LAB_OBJECTS = json.loads(os.environ["LAB_OBJECTS"])
LAB_WRECKS = os.environ["LAB_WRECKS"]
LAB_CREDENTIALS = {
    "type": "access_key",
    "access_key_id": os.environ["LAB_ACCESS_KEY_ID"],
    "secret_access_key": os.environ["LAB_SECRET_ACCESS_KEY"],
}
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n"


def health():
    api = mixpeek.HealthApi(client(ADMIN_KEY))
    assert api.healthcheck_health() is not None
    ok("healthcheck_health")
    assert api.liveness_health() is not None
    ok("liveness_health")
    deep = api.healthcheck_deep_health(deep=True, metrics=True)
    assert deep.status.value == "OK" and deep.data.metadata and deep.data.object_storage, deep
    ok("healthcheck_deep_health")
    assert api.celery_beat_health() is not None
    ok("celery_beat_health")


def namespaces():
    api = mixpeek.NamespacesApi(client(ADMIN_KEY))
    created = api.create_namespace(mixpeek.CreateNamespaceRequest(namespace_name="harbour-tests", description="for tests"))
    assert created.namespace_id.startswith("ns_") and created.namespace_name == "harbour-tests"
    ok("create_namespace")
    refused(exceptions.ConflictException, 409, api.create_namespace,
            mixpeek.CreateNamespaceRequest(namespace_name="harbour-tests"))
    ok("create_namespace twice")
    assert api.get_namespace(created.namespace_id).namespace_name == "harbour-tests"
    assert api.get_namespace("harbour-tests").namespace_id == created.namespace_id
    default = api.get_namespace("default")
    assert default.namespace_id
    ok("get_namespace")
    refused(exceptions.NotFoundException, 404, api.get_namespace, "ns_0123456789abcdef")
    ok("get_namespace unknown")
    third = api.create_namespace(mixpeek.CreateNamespaceRequest(namespace_name="harbour-third"))
    expected = [third.namespace_id, created.namespace_id, default.namespace_id]
    check_pages("namespace_id", api.list_namespaces, expected)
    ok("list_namespaces")
    check_pages("namespace_id", api.list_namespaces_get, expected)
    ok("list_namespaces_get")
    return created


def connection_requests():
    """A connection of every provider; those of the lab are tested before they are saved."""
    lab = {"credentials": LAB_CREDENTIALS, "endpoint_url": os.environ["LAB_URL"]}
    drive = json.loads(os.environ["LAB_DRIVE"])
    sharepoint = {
        "credentials": {
            "type": "client_credentials", "tenant_id": "01234567-89ab-cdef-0123-456789abcdef",
            "client_id": "01234567-89ab-cdef-0123-456789abcdef", "client_secret": "not-a-secret-at-all",
        },
        "folder_path": "/Documents/Charts",
    }
    snowflake = {
        "credentials": {"type": "key_pair", "username": "LOADER", "private_key": PRIVATE_KEY},
        "account": "harbour-charts", "warehouse": "LOADING", "database": "CHARTS", "schema": "PUBLIC",
    }
    configs = [
        (StorageProvider.S3, lab | {"region": "us-east-1", "use_ssl": False}, True),
        (StorageProvider.TIGRIS, lab, True),
        (StorageProvider.GOOGLE_DRIVE, drive, True),
        (StorageProvider.SHAREPOINT, sharepoint, False),
        (StorageProvider.SNOWFLAKE, snowflake, False),
    ]
    for provider, config, tested in configs:
        yield mixpeek.StorageConnectionCreateRequest(
            name=f"{provider.value} of the harbour / west quay", provider_type=provider, provider_config=config,
            description=f"a {provider.value} connection", metadata={"team": "pilots", "depth": {"metres": 4}},
            test_before_save=tested,
        )


def connections():
    api = mixpeek.OrganizationConnectionsApi(client(ADMIN_KEY))
    created = {}
    for request in connection_requests():
        provider = request.provider_type.value
        connection = api.create_storage_connection_organizations(request)
        assert connection.connection_id.startswith("conn_") and len(connection.connection_id) == 20
        assert connection.internal_id.startswith("int_") and connection.created_by_user_id.startswith("usr_")
        assert connection.provider_type == request.provider_type
        assert connection.name == request.name and connection.description == request.description
        assert connection.metadata == {"team": "pilots", "depth": {"metres": 4}}
        assert connection.status is TaskStatusEnum.ACTIVE and connection.is_active is True
        assert connection.consecutive_failures == 0 and connection.last_error is None
        assert connection.created_at and connection.updated_at
        shown = connection.provider_config.actual_instance
        assert isinstance(shown, dict), type(shown)
        assert shown["credentials"] == {"type": request.provider_config["credentials"]["type"]}, shown
        for field, value in request.provider_config.items():
            assert field == "credentials" or str(shown[field]).rstrip("/") == str(value).rstrip("/"), (field, shown)
        created[provider] = connection
        ok(f"create_storage_connection_organizations {provider}")

    s3 = created["s3"]
    got = api.get_storage_connection_organizations(s3.connection_id)
    assert got.to_dict() == s3.to_dict()
    ok("get_storage_connection_organizations by id")
    assert api.get_storage_connection_organizations(s3.name).connection_id == s3.connection_id
    ok("get_storage_connection_organizations by name")

    newest_first = ids(reversed(created.values()), "connection_id")
    check_pages("connection_id", api.list_storage_connections_organizations, newest_first)
    ok("list_storage_connections_organizations pages")

    def listed(**filters):
        request = mixpeek.ListStorageConnectionsRequest(**filters)
        answer = api.list_storage_connections_organizations(limit=100, list_storage_connections_request=request)
        assert answer.total == len(answer.results)
        return ids(answer.results, "connection_id")

    for provider, connection in created.items():
        assert listed(provider_type=StorageProvider(provider)) == [connection.connection_id]
    ok("list_storage_connections_organizations by provider_type")

    tigris = created["tigris"].connection_id
    suspended = api.update_storage_connection_organizations(
        tigris, mixpeek.StorageConnectionUpdateRequest(status=TaskStatusEnum.SUSPENDED))
    assert suspended.status is TaskStatusEnum.SUSPENDED and suspended.is_active is False
    ok("update_storage_connection_organizations suspend")
    others = [connection for connection in newest_first if connection != tigris]
    assert listed(status=TaskStatusEnum.SUSPENDED) == [tigris]
    assert listed(status=TaskStatusEnum.ACTIVE) == others
    assert listed(status=TaskStatusEnum.FAILED) == []
    ok("list_storage_connections_organizations by status")
    assert listed(is_active=False) == [tigris]
    assert listed(is_active=True, provider_type=StorageProvider.TIGRIS) == []
    ok("list_storage_connections_organizations by is_active")
    reactivated = api.update_storage_connection_organizations(
        tigris, mixpeek.StorageConnectionUpdateRequest(is_active=True))
    assert reactivated.status is TaskStatusEnum.ACTIVE and reactivated.is_active is True
    ok("update_storage_connection_organizations reactivate")

    renamed = api.update_storage_connection_organizations(s3.connection_id, mixpeek.StorageConnectionUpdateRequest(
        name="s3 / renamed", description="", metadata={}, write_enabled=True))
    assert renamed.name == "s3 / renamed" and not renamed.description and renamed.metadata == {}
    assert renamed.write_enabled is True and renamed.created_at == s3.created_at
    ok("update_storage_connection_organizations fields")
    kept = {"credentials": {"type": "access_key"}, "endpoint_url": os.environ["LAB_URL"], "region": "eu-west-1"}
    updated = api.update_storage_connection_organizations(
        s3.connection_id, mixpeek.StorageConnectionUpdateRequest(provider_config=kept))
    assert updated.provider_config.actual_instance["region"] == "eu-west-1"
    ok("update_storage_connection_organizations provider_config")

    test = api.test_storage_connection_organizations("s3 / renamed")
    assert test.success is True and test.message and test.details["result"] == "success", test
    assert all({"name", "outcome"} <= check.keys() for check in test.details["checks"]), test
    ok("test_storage_connection_organizations")
    untestable = api.test_storage_connection_organizations(created["snowflake"].connection_id)
    assert untestable.success is False and untestable.details["error_code"] == "adapter.missing", untestable
    ok("test_storage_connection_organizations without an adapter")

    drive = created["google_drive"].connection_id
    folders = api.list_google_drive_folders_organizations_connections(drive, path="/")
    assert [folder.name for folder in folders.results] == ["folder-000", "folder-001"], folders
    assert folders.parent_path == "/" and folders.results[0].path == "/folder-000", folders
    assert {folder.mime_type for folder in folders.results} == {"application/vnd.google-apps.folder"}, folders
    for nowhere in ["/folder-000", "/nowhere"]:
        assert api.list_google_drive_folders_organizations_connections(drive, path=nowhere).results == []
    refused(exceptions.BadRequestException, 400, api.list_google_drive_folders_organizations_connections,
            s3.connection_id, path="/")
    ok("list_google_drive_folders_organizations_connections")
    for path in ["/folder-000", folders.results[0].id]:
        files = api.list_google_drive_files_organizations_connections(drive, path=path, max_results=10)
        assert [file["name"] for file in files["results"]] == ["file-00000.bin", "file-00002.bin"], files
    assert len(api.list_google_drive_files_organizations_connections(drive, path=path, max_results=1)["results"]) == 1
    refused(exceptions.BadRequestException, 400, api.list_google_drive_files_organizations_connections,
            s3.connection_id, path="/", max_results=10)
    ok("list_google_drive_files_organizations_connections")

    deleted = api.delete_storage_connection_organizations(created["sharepoint"].connection_id)
    assert deleted and all(isinstance(value, str) for value in deleted.values()), deleted
    archived = api.get_storage_connection_organizations(created["sharepoint"].connection_id)
    assert archived.status is TaskStatusEnum.ARCHIVED and archived.is_active is False
    assert listed(status=TaskStatusEnum.ARCHIVED) == [archived.connection_id]
    ok("delete_storage_connection_organizations")
    errors(api, created)
    return s3


def errors(api, created):
    request = next(connection_requests())
    request.name = created["tigris"].name
    refused(exceptions.ConflictException, 409, api.create_storage_connection_organizations, request)
    ok("409 for a name that is taken")
    refused(exceptions.ConflictException, 409, api.update_storage_connection_organizations,
            created["sharepoint"].connection_id, mixpeek.StorageConnectionUpdateRequest(status=TaskStatusEnum.ACTIVE))
    ok("409 for a change of what is archived")
    error = refused(exceptions.NotFoundException, 404, api.get_storage_connection_organizations, "conn_000000000000000")
    assert error.details["id"] == "conn_000000000000000", error
    refused(exceptions.NotFoundException, 404, api.test_storage_connection_organizations, "nobody / nowhere")
    ok("404 for what is not there")
    request.name = "incomplete"
    request.provider_config = {"credentials": {"type": "access_key", "access_key_id": "X"}}
    error = refused(exceptions.UnprocessableEntityException, 422, api.create_storage_connection_organizations, request)
    fields = [".".join(map(str, mistake["location"])) for mistake in error.details["validation_errors"]]
    assert any("secret_access_key" in field for field in fields), error
    ok("422 for an incomplete configuration")
    request.provider_config = {"credentials": LAB_CREDENTIALS | {"secret_access_key": "wrong"}, "endpoint_url": os.environ["LAB_URL"]}
    error = refused(exceptions.UnprocessableEntityException, 422, api.create_storage_connection_organizations, request)
    assert error.code == "connection_test_failed" and error.details["checks"], error
    ok("422 for a failed test")
    stranger = mixpeek.OrganizationConnectionsApi(client("sk_nobody_has_this_key"))
    refused(exceptions.UnauthorizedException, 401, stranger.list_storage_connections_organizations)
    ok("401 for an unknown key")
    reader = mixpeek.OrganizationConnectionsApi(client(os.environ["WHARF_READ_KEY"]))
    assert reader.list_storage_connections_organizations().results
    refused(exceptions.ForbiddenException, 403, reader.create_storage_connection_organizations, request)
    refused(exceptions.ForbiddenException, 403, reader.test_storage_connection_organizations, created["s3"].connection_id)
    ok("403 for a key that may only read")


def buckets(api):
    created = []
    for number in range(3):
        bucket = api.create_bucket(mixpeek.BucketCreateRequest(
            bucket_name=f"charts-{number}", description="sea charts", metadata={"number": number},
            bucket_schema=mixpeek.BucketSchemaInput(properties={}),
        ))
        assert bucket.bucket_id.startswith("bkt_") and bucket.bucket_name == f"charts-{number}"
        assert bucket.object_count == 0 and bucket.total_size_bytes == 0
        created.append(bucket)
    ok("create_bucket")
    refused(exceptions.ConflictException, 409, api.create_bucket, mixpeek.BucketCreateRequest(
        bucket_name="charts-0", bucket_schema=mixpeek.BucketSchemaInput(properties={})))
    ok("create_bucket twice")
    assert api.get_bucket(created[0].bucket_id).bucket_name == "charts-0"
    assert api.get_bucket("charts-0").bucket_id == created[0].bucket_id
    ok("get_bucket")
    newest_first = ids(reversed(created), "bucket_id")
    check_pages("bucket_id", api.list_buckets, newest_first)
    found = api.list_buckets(list_buckets_request=mixpeek.ListBucketsRequest(search="charts-1"))
    assert ids(found.results, "bucket_id") == [created[1].bucket_id]
    ok("list_buckets")
    check_pages("bucket_id", api.list_buckets_get, newest_first)
    ok("list_buckets_get")
    api.delete_bucket(created[2].bucket_id)
    refused(exceptions.NotFoundException, 404, api.get_bucket, created[2].bucket_id)
    ok("delete_bucket")
    return created[0].bucket_id, created[1].bucket_id


def run(api, bucket, sync):
    """A run of a sync that is idle, from its trigger to its end."""
    triggered = api.trigger_sync_configuration_buckets_id_config(bucket, sync)
    assert triggered["status"] == "triggered", triggered
    return ended(api, bucket, sync, triggered["sync_job_id"])


def ended(api, bucket, sync, job):
    deadline = time.monotonic() + 60
    while True:
        found = api.get_sync_job_buckets_id_config(bucket, sync, job)
        if found.status is not SyncJobStatus.RUNNING:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def syncs(api, bucket, connection):
    first = api.create_sync_configuration_buckets(bucket, mixpeek.SyncCreateRequest(
        connection_id=connection, source_path=LAB_BUCKET, sync_mode=SyncMode.CONTINUOUS, polling_interval_seconds=86400,
        sync_concurrency=4, description="everything", metadata={"kind": "charts"},
    ))
    assert first.sync_config_id.startswith("sync_") and first.bucket_id == bucket
    assert first.connection_id == connection and first.source_path == LAB_BUCKET
    assert first.locked is not None and first.namespace_id and first.created_by_user_id and first.internal_id
    assert first.sync_mode is SyncMode.CONTINUOUS and first.polling_interval_seconds == 86400
    assert first.status is TaskStatusEnum.ACTIVE and first.is_active is True
    ok("create_sync_configuration_buckets")

    jobs = api.list_sync_jobs_buckets_id_config(bucket, first.sync_config_id)
    assert len(jobs.results) == 1 and jobs.total == 1
    job = ended(api, bucket, first.sync_config_id, jobs.results[0].sync_job_id)
    assert job.status is SyncJobStatus.COMPLETED and job.trigger is SyncJobTrigger.SCHEDULED, job
    assert job.files_synced == len(LAB_OBJECTS) and job.files_failed == 0
    assert job.progress["discovered"] == job.progress["synced"] == len(LAB_OBJECTS), job
    assert job.started_at and job.completed_at and job.metadata["complete"] is True
    ok("get_sync_job_buckets_id_config")

    triggered = api.trigger_sync_configuration_buckets_id_config(bucket, first.sync_config_id)
    again = ended(api, bucket, first.sync_config_id, triggered["sync_job_id"])
    assert again.status is SyncJobStatus.COMPLETED and again.trigger is SyncJobTrigger.MANUAL
    assert again.files_synced == 0 and again.progress["verified"] == len(LAB_OBJECTS), again
    ok("trigger_sync_configuration_buckets_id_config")
    full = api.trigger_sync_configuration_buckets_id_config(bucket, first.sync_config_id, full_sync=True)
    assert ended(api, bucket, first.sync_config_id, full["sync_job_id"]).status is SyncJobStatus.COMPLETED
    ok("trigger_sync_configuration_buckets_id_config full_sync")

    newest_first = [full["sync_job_id"], triggered["sync_job_id"], job.sync_job_id]
    check_pages("sync_job_id", lambda **page: api.list_sync_jobs_buckets_id_config(bucket, first.sync_config_id, **page),
                newest_first)
    completed = api.list_sync_jobs_buckets_id_config(
        bucket, first.sync_config_id, list_sync_jobs_request=mixpeek.ListSyncJobsRequest(status=SyncJobStatus.COMPLETED))
    assert completed.total == 3
    failed = api.list_sync_jobs_buckets_id_config(
        bucket, first.sync_config_id, list_sync_jobs_request=mixpeek.ListSyncJobsRequest(status=SyncJobStatus.FAILED))
    assert failed.total == 0
    ok("list_sync_jobs_buckets_id_config")

    got = api.get_sync_configuration_buckets_id_config(bucket, first.sync_config_id)
    assert got.total_files_synced == len(LAB_OBJECTS) and got.last_sync_at and got.next_sync_at, got
    assert got.total_files_failed == 0 and got.consecutive_failures == 0 and got.last_error is None
    ok("get_sync_configuration_buckets_id_config")

    assert got.stats.total_runs_completed == 3 and got.stats.total_runs_failed == 0, got.stats
    assert got.stats.total_objects_synced == len(LAB_OBJECTS) == got.stats.last_run_objects_verified, got.stats
    assert got.stats.last_run_objects_discovered == len(LAB_OBJECTS) and got.stats.last_run_at, got.stats
    assert got.stats.total_bytes_synced == sum(len(text.encode()) for text in LAB_OBJECTS.values())
    assert got.per_shard_last_sync_at == {"__default__": got.last_sync_at} and got.sync_run_counter == 3
    assert got.locked is False and got.current_sync_run_id is None and got.sync_checkpoints == {}
    ok("SyncStatsModel")

    more = [
        api.create_sync_configuration_buckets(bucket, mixpeek.SyncCreateRequest(
            connection_id=connection, source_path=f"{LAB_BUCKET}/{prefix}", sync_mode=SyncMode.INITIAL_ONLY))
        for prefix in ("no-such-prefix-1/", "no-such-prefix-2/")
    ]
    newest_first = [more[1].sync_config_id, more[0].sync_config_id, first.sync_config_id]
    check_pages("sync_config_id", lambda **page: api.list_sync_configurations_buckets(bucket, **page), newest_first)
    mine = api.list_sync_configurations_buckets(
        bucket, list_sync_configurations_request=mixpeek.ListSyncConfigurationsRequest(connection_id=connection))
    assert mine.total == 3
    nobodys = api.list_sync_configurations_buckets(
        bucket, list_sync_configurations_request=mixpeek.ListSyncConfigurationsRequest(connection_id="conn_000000000000000"))
    assert nobodys.total == 0 and nobodys.results == []
    ok("list_sync_configurations_buckets")

    for sync in more:
        only = api.list_sync_jobs_buckets_id_config(bucket, sync.sync_config_id).results[0].sync_job_id
        assert ended(api, bucket, sync.sync_config_id, only).status is SyncJobStatus.COMPLETED
        done = api.get_sync_configuration_buckets_id_config(bucket, sync.sync_config_id)
        assert done.status is TaskStatusEnum.COMPLETED and done.is_active is False, done
        api.delete_sync_configuration_buckets_id_config(bucket, sync.sync_config_id)
        refused(exceptions.NotFoundException, 404, api.get_sync_configuration_buckets_id_config, bucket, sync.sync_config_id)
    ok("delete_sync_configuration_buckets_id_config")


def changes(api, bucket, connection):
    """A sync that is created with filters, changed, paused, resumed and unlocked, and what its metrics say."""
    mapping = {
        "year": {"target_type": "field", "source": {"type": "folder_path", "segment": -1}},
        "language": {"target_type": "field", "source": {"type": "constant", "value": "EN"}, "transform": "lowercase"},
        "log": {"target_type": "blob", "source": {"type": "file"}, "blob_type": "text", "blob_property": "log"},
    }
    sync = api.create_sync_configuration_buckets(bucket, mixpeek.SyncCreateRequest(
        connection_id=connection, source_path=LAB_BUCKET, polling_interval_seconds=86400,
        file_filters={"include_patterns": ["*.md"], "min_size_bytes": 1}, provider_filters={"prefix": "2024"},
        schema_mapping=mixpeek.SchemaMappingInput.from_dict({"mappings": mapping}), skip_duplicates=False,
    ))
    key = sync.sync_config_id
    assert sync.file_filters.include_patterns == ["*.md"] and sync.file_filters.min_size_bytes == 1, sync
    assert sync.provider_filters == {"prefix": "2024"} and sync.skip_duplicates is False
    mapped = {name: entry.actual_instance for name, entry in sync.schema_mapping.mappings.items()}
    assert mapped.keys() == mapping.keys(), mapped
    assert mapped["year"].source.actual_instance.segment == -1 and mapped["language"].transform == "lowercase"
    assert mapped["log"].blob_property == "log" and mapped["log"].blob_type.value == "text"
    first = api.list_sync_jobs_buckets_id_config(bucket, key).results[0].sync_job_id
    job = ended(api, bucket, key, first)
    kept = [name for name in LAB_OBJECTS if name.startswith("2024") and name.endswith(".md")]
    assert job.progress["discovered"] == sum(name.startswith("2024") for name in LAB_OBJECTS), job
    assert job.files_synced == len(kept) == 1 and job.metadata["complete"] is True, job
    assert sum(job.metadata["filtered_by"].values()) == job.progress["filtered"] > 0, job
    assert job.progress_percent == 100 and job.total_files == job.progress["discovered"] and job.lag_seconds is None
    found = mixpeek.BucketObjectsApi(api.api_client).list_objects_buckets(bucket)
    item, = found.results
    assert item.additional_properties["fields"] == {"year": "2024", "language": "en"}, item
    assert item.additional_properties["sync_job_id"] == first
    assert [(blob.var_property, blob.type.value) for blob in item.blobs] == [("log", "text")], item.blobs
    ok("create_sync_configuration_buckets with filters and a mapping")

    changed = api.update_sync_configuration_buckets_id_config(bucket, key, mixpeek.SyncUpdateRequest(
        description="logs", metadata={"kind": "logs"}, polling_interval_seconds=3600, batch_size=10, sync_concurrency=2,
        max_objects_per_run=1000, skip_batch_submission=True, batch_collection_ids=["col_logs"],
        reconcile=mixpeek.ReconcileSettings(on_update=False, re_extract_fields=["title"]),
        additional_properties={"skip_duplicates": True, "sync_from": "2020-01-01T00:00:00Z"},
    ))
    assert changed.description == "logs" and changed.metadata == {"kind": "logs"}
    assert changed.polling_interval_seconds == 3600 and changed.sync_concurrency == 2
    assert changed.max_objects_per_run == 1000 and changed.batch_size == 10 and changed.skip_batch_submission is True
    assert changed.batch_collection_ids == ["col_logs"] and changed.skip_duplicates is True
    assert changed.reconcile.on_update is False and changed.reconcile.on_delete is True
    assert changed.reconcile.re_extract_fields == ["title"]
    assert changed.file_filters == sync.file_filters and changed.schema_mapping == sync.schema_mapping
    error = refused(exceptions.UnprocessableEntityException, 422, api.update_sync_configuration_buckets_id_config,
                    bucket, key, mixpeek.SyncUpdateRequest(status=TaskStatusEnum.COMPLETED))
    assert error.details["validation_errors"][0]["location"] == ["body", "status"], error
    off = api.update_sync_configuration_buckets_id_config(bucket, key, mixpeek.SyncUpdateRequest(is_active=False))
    assert off.status is TaskStatusEnum.SUSPENDED and off.is_active is False and off.paused is True
    on = api.update_sync_configuration_buckets_id_config(
        bucket, key, mixpeek.SyncUpdateRequest(status=TaskStatusEnum.ACTIVE))
    assert on.status is TaskStatusEnum.ACTIVE and on.is_active is True and on.paused is False
    ok("update_sync_configuration_buckets_id_config")

    paused = api.pause_sync_configuration_buckets_id_config(
        bucket, key, _headers={"X-Change-Reason": "the archive is moving"})
    assert paused.paused is True and paused.status is TaskStatusEnum.SUSPENDED and paused.is_active is False
    assert paused.pause_reason == "the archive is moving" and paused.paused_at, paused
    assert paused.paused_by_user_id == sync.created_by_user_id and paused.next_sync_at is None
    error = refused(exceptions.ConflictException, 409, api.trigger_sync_configuration_buckets_id_config, bucket, key)
    assert error.code == "sync_paused", error
    suspended = api.list_sync_configurations_buckets(
        bucket, list_sync_configurations_request=mixpeek.ListSyncConfigurationsRequest(status=TaskStatusEnum.SUSPENDED))
    assert ids(suspended.results, "sync_config_id") == [key]
    ok("pause_sync_configuration_buckets_id_config")
    resumed = api.resume_sync_configuration_buckets_id_config(bucket, key)
    assert resumed.paused is False and resumed.status is TaskStatusEnum.ACTIVE and resumed.pause_reason is None
    ok("resume_sync_configuration_buckets_id_config")
    settled(api, bucket, key)
    free = api.force_unlock_sync_configuration_buckets_id_config(bucket, key)
    assert free["unlocked"] is False and free["sync_config_id"] == key and free["message"], free
    ok("force_unlock_sync_configuration_buckets_id_config")

    metrics = api.get_sync_metrics_buckets_id_config(bucket, key)
    assert metrics.sync_config_id == key and metrics.status == "ACTIVE" and metrics.is_active and not metrics.paused
    assert metrics.healthy is True and metrics.is_stale is False and metrics.stalled is False, metrics
    assert metrics.stale_after_seconds == 7200 and metrics.running_job is False and metrics.failure_rate == 0
    assert 0 <= metrics.seconds_since_last_sync < 600 and metrics.intervals_since_last_sync < 1, metrics
    assert metrics.dlq_total == 0 and metrics.dlq_by_error == {} and metrics.last_job["status"] == "completed", metrics
    assert metrics.total_files_synced == 1 and metrics.total_files_failed == 0 and metrics.batches_created == 0
    ok("get_sync_metrics_buckets_id_config")


def settled(api, bucket, sync):
    """Waits until no run is at work, queued or due."""
    deadline = time.monotonic() + 60
    while True:
        found = api.get_sync_configuration_buckets_id_config(bucket, sync)
        in_a_minute = datetime.now(timezone.utc) + timedelta(minutes=1)
        if found.current_sync_run_id is None and found.next_sync_at > in_a_minute:
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def dead_letters(api, bucket, connection):
    """A file that may not be read: its three tries, and the ways out."""
    sync = api.create_sync_configuration_buckets(bucket, mixpeek.SyncCreateRequest(
        connection_id=connection, source_path=LAB_WRECKS, polling_interval_seconds=86400)).sync_config_id

    def letters(**filters):
        return api.list_dlq_entries_buckets_id_syncs_config(
            bucket, sync, list_dlq_request=mixpeek.ListDLQRequest(**filters) if filters else None)

    def metrics():
        return api.get_sync_metrics_buckets_id_config(bucket, sync)

    first = api.list_sync_jobs_buckets_id_config(bucket, sync).results[0].sync_job_id
    job = ended(api, bucket, sync, first)
    assert job.status is SyncJobStatus.COMPLETED and (job.files_synced, job.files_failed) == (1, 1), job
    listed = letters()
    letter, = listed.results
    assert listed.total == 1 and letter.dlq_id.startswith("dlq_") and letter.sync_config_id == sync
    assert letter.sync_job_id == first and letter.bucket_id == bucket
    assert letter.source_path == f"{LAB_WRECKS}/sunk.txt" and letter.source_object_id, letter
    assert letter.error_type == "perm.denied" and letter.error_message and letter.error_stack_trace is None, letter
    assert letter.retry_count == 1 and letter.max_retries_reached is False and letter.first_seen_at and letter.last_seen_at
    assert letters(only_max_retries=True).total == 0 and letters(error_types=["perm.denied"]).total == 1
    assert letters(error_types=["NotFoundError"]).results == []
    ok("list_dlq_entries_buckets_id_syncs_config")

    mark = mixpeek.BulkMarkDLQRequest(error_types=["perm.denied"])
    assert api.bulk_mark_dlq_permanently_failed_buckets_id_syncs_config(bucket, sync, mark).updated == 1
    assert api.bulk_mark_dlq_permanently_failed_buckets_id_syncs_config(bucket, sync, mark).updated == 0
    assert letters(only_max_retries=True).total == 1
    found = metrics()
    assert found.dlq_total == 1 and found.dlq_by_error == {"perm.denied": 1} and found.failure_rate == 0.5, found
    assert run(api, bucket, sync).files_failed == 1
    assert letters().results[0].retry_count == letter.retry_count, "it is left alone"
    ok("bulk_mark_dlq_permanently_failed_buckets_id_syncs_config")

    other = mixpeek.BulkRequeueDLQRequest(error_types=["NotFoundError"])
    assert api.requeue_dlq_entries_buckets_id_syncs_config(bucket, sync, bulk_requeue_dlq_request=other).requeued == 0
    assert api.requeue_dlq_entries_buckets_id_syncs_config(bucket, sync).requeued == 1
    queued = letters().results[0]
    assert queued.retry_count == 0 and queued.max_retries_reached is False and queued.requeued_at, queued
    for tries in (1, 2, 3):
        assert run(api, bucket, sync).status is SyncJobStatus.COMPLETED
        assert letters().results[0].retry_count == tries
    assert letters().results[0].max_retries_reached is True
    assert api.requeue_dlq_entries_buckets_id_syncs_config(bucket, sync).requeued == 1
    raise_wrecks()
    assert run(api, bucket, sync).files_synced == 1
    assert letters().total == 0 and metrics().dlq_total == 0
    ok("requeue_dlq_entries_buckets_id_syncs_config")


def raise_wrecks():
    """Takes the lab's faults away."""
    request = urllib.request.Request(f"{os.environ['LAB_URL']}/__admin/faults", data=b"[]", method="POST")
    request.add_header("content-type", "application/json")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as response:
        assert response.status < 300, response.status


def content(bucket, object_id, **headers):
    """The bytes of an object, which the SDK has no operation for."""
    request = urllib.request.Request(f"{URL}/v1/buckets/{bucket}/objects/{object_id}/content")
    for name, value in ({"authorization": f"Bearer {ADMIN_KEY}"} | headers).items():
        request.add_header(name.replace("_", "-"), value)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def objects(api, bucket):
    listed = api.list_objects_buckets(bucket, limit=1000, include_total=True)
    by_path = {item.additional_properties["source_path"]: item for item in listed.results}
    assert by_path.keys() == {f"{LAB_BUCKET}/{key}" for key in LAB_OBJECTS}, by_path.keys()
    assert listed.pagination.total == len(LAB_OBJECTS)
    newest_first = ids(listed.results, "object_id")
    check_pages("object_id", lambda **page: api.list_objects_buckets(bucket, **page), newest_first)
    ok("list_objects_buckets")
    check_pages("object_id", lambda **page: api.list_objects_get_buckets(bucket, **page), newest_first)
    ok("list_objects_get_buckets")
    for key, text in LAB_OBJECTS.items():
        item = by_path[f"{LAB_BUCKET}/{key}"]
        assert item.object_id.startswith("obj_") and item.bucket_id == bucket
        got = api.get_object_buckets(bucket, item.object_id)
        assert got.object_id == item.object_id and got.blobs, got
        assert got.additional_properties["size_bytes"] == len(text.encode())
        status, headers, body = content(bucket, item.object_id)
        assert status == 200 and body == text.encode(), (key, status, body)
        assert headers["content-disposition"].startswith("attachment"), headers
    ok("get_object_buckets")
    ok("content")

    key, text = next((key, text) for key, text in LAB_OBJECTS.items() if len(text.encode()) > 12)
    whole = text.encode()
    target = by_path[f"{LAB_BUCKET}/{key}"].object_id
    for asked, slice_, told in [
        ("bytes=2-5", whole[2:6], f"bytes 2-5/{len(whole)}"),
        ("bytes=10-", whole[10:], f"bytes 10-{len(whole) - 1}/{len(whole)}"),
        ("bytes=-3", whole[-3:], f"bytes {len(whole) - 3}-{len(whole) - 1}/{len(whole)}"),
    ]:
        status, headers, body = content(bucket, target, range=asked)
        assert (status, headers["content-range"], body) == (206, told, slice_), (asked, status, headers, body)
    status, headers, _ = content(bucket, target, range=f"bytes={len(whole)}-")
    assert status == 416 and headers["content-range"] == f"bytes */{len(whole)}", (status, headers)
    ok("content Range")
    _, headers, _ = content(bucket, target)
    etag = headers["etag"]
    status, _, body = content(bucket, target, if_none_match=etag)
    assert status == 304 and body == b"", status
    ok("content ETag")

    assert api.delete_object_buckets(bucket, target) is None
    assert target not in ids(api.list_objects_buckets(bucket, limit=1000).results, "object_id")
    assert content(bucket, target)[0] == 404
    ok("delete_object_buckets")


def main():
    health()
    namespace = namespaces()
    connection = connections()
    in_namespace = client(ADMIN_KEY, namespace=namespace.namespace_name)
    bucket_api = mixpeek.BucketsApi(in_namespace)
    first, second = buckets(bucket_api)
    refused(exceptions.NotFoundException, 404, mixpeek.BucketsApi(client(ADMIN_KEY)).get_bucket, first)
    ok("404 for a bucket of another namespace")
    syncs(mixpeek.BucketSyncsApi(in_namespace), first, connection.connection_id)
    changes(mixpeek.BucketSyncsApi(in_namespace), second, connection.connection_id)
    wrecks = bucket_api.create_bucket(mixpeek.BucketCreateRequest(
        bucket_name="wrecks", bucket_schema=mixpeek.BucketSchemaInput(properties={}))).bucket_id
    dead_letters(mixpeek.BucketSyncsApi(in_namespace), wrecks, connection.connection_id)
    # The content has no operation in the SDK, hence no namespace: its bucket lies in `default`.
    everywhere = client(ADMIN_KEY)
    bucket = mixpeek.BucketsApi(everywhere).create_bucket(mixpeek.BucketCreateRequest(
        bucket_name="objects", bucket_schema=mixpeek.BucketSchemaInput(properties={}))).bucket_id
    sync_api = mixpeek.BucketSyncsApi(everywhere)
    sync = sync_api.create_sync_configuration_buckets(bucket, mixpeek.SyncCreateRequest(
        connection_id=connection.connection_id, source_path=LAB_BUCKET, sync_mode=SyncMode.INITIAL_ONLY))
    job = sync_api.list_sync_jobs_buckets_id_config(bucket, sync.sync_config_id).results[0].sync_job_id
    assert ended(sync_api, bucket, sync.sync_config_id, job).files_synced == len(LAB_OBJECTS)
    objects(mixpeek.BucketObjectsApi(everywhere), bucket)
    assert bucket_api.get_bucket(first).object_count == len(LAB_OBJECTS)
    bucket_api.delete_bucket(first)
    bucket_api.delete_bucket(second)
    ok("delete_bucket with objects")
    around(connection, namespace)


main()
