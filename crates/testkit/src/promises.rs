//! The list of all promises, and the macros that make tests of it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::future::LocalBoxFuture;

use crate::{Harness, ProviderPromise, keep};

/// Hands the list of all promises of repositories, by port, to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! each_repository_promise {
    ($then:ident) => {
        $crate::$then! {
            access {
                an_organization_is_found_by_its_identifier,
                a_user_is_found_by_address_within_its_own_organization,
                an_address_is_unique_within_an_organization,
                a_user_needs_an_organization,
                users_are_listed_oldest_first_within_their_organization,
                a_key_is_read_back_unchanged,
                a_key_name_is_unique_among_the_users_keys_that_are_not_revoked,
                a_known_hash_is_refused_wherever_it_is_known,
                a_key_needs_a_user_of_the_organization,
                a_revoked_key_stays_listed_and_is_revoked_once,
                keys_of_another_organization_are_neither_listed_nor_revoked,
                a_new_user_or_key_brings_its_audit_row_and_a_refused_one_none,
                an_organizations_profile_is_changed_whole,
                an_organization_takes_no_name_of_another,
                limits_of_an_organization_are_known_with_its_keys,
                a_users_profile_is_changed_whole,
                a_change_of_what_was_changed_in_between_is_refused,
                the_last_active_admin_stays,
                of_two_admins_that_step_down_at_once_one_stays,
                a_removed_user_is_gone_and_their_keys_are_revoked,
                what_a_removed_user_made_stays_and_their_address_is_free,
                keys_work_while_their_user_is_not_suspended,
                every_field_of_a_key_is_read_back,
                a_key_is_changed_field_by_field,
                a_key_whose_grant_was_changed_in_between_is_neither_changed_nor_rotated,
                a_key_takes_no_name_of_another_that_is_not_revoked,
                a_rotated_key_has_another_secret_and_the_old_one_stops_at_once,
                a_revoked_key_is_neither_changed_nor_rotated,
                a_use_is_noted_once_a_minute_without_an_audit_row,
            }
            across_organizations {
                of_many_callers_at_once_exactly_one_bootstraps,
                bootstrap_makes_organization_admin_key_and_namespace,
                bootstrap_does_nothing_where_an_organization_is,
                organizations_have_names_of_their_own_and_are_listed_oldest_first,
                a_key_is_valid_until_it_expires_or_is_revoked,
                a_due_sync_is_leased_with_its_queued_job,
                a_sync_is_due_when_its_time_has_come_and_gets_a_scheduled_job,
                the_sync_that_has_been_due_longest_comes_first,
                a_sync_runs_only_while_its_connection_is_active,
                a_transient_failure_does_not_keep_a_sync_from_running,
                an_expired_lease_is_taken_over_by_a_resume,
                an_expired_lease_is_released_while_its_connection_is_not_active,
                a_released_lease_does_not_keep_others_from_theirs,
                a_take_over_keeps_the_progress_of_the_pass,
                a_queued_job_takes_over_an_expired_lease,
                of_many_callers_at_once_no_two_lease_the_same_sync,
                blobs_of_live_objects_and_tombstones_are_referenced,
                the_clock_goes_on_in_microseconds,
                many_syncs_of_one_organization_keep_nobody_waiting,
                an_expired_lease_counts_as_no_run_at_work,
                an_expired_lease_of_a_paused_sync_is_released,
                tombstones_are_purged_when_their_undo_window_has_passed,
                tombstones_are_purged_in_portions_the_oldest_first,
                a_purged_tombstone_comes_back_to_life_with_its_new_bytes,
                exhausted_dead_letters_of_syncs_that_rest_are_disposed_of,
                a_dead_letter_is_disposed_of_long_after_its_last_try,
                a_check_is_leased_when_its_time_has_come,
                the_check_that_has_been_due_longest_comes_first,
                what_rests_is_not_checked_and_what_fails_is,
                an_expired_lease_of_a_check_is_taken_over,
                of_many_callers_at_once_no_two_lease_the_same_check,
                a_webhook_is_leased_with_what_it_has_not_been_told,
                an_entry_is_told_until_its_last_event,
                what_announces_nothing_makes_no_webhook_due,
                whoever_has_just_had_its_turn_comes_after_those_who_wait,
                an_organization_with_held_webhooks_comes_after_one_without,
                an_expired_lease_of_a_webhook_is_taken_over,
                of_many_callers_at_once_no_two_lease_the_same_webhook,
                a_stream_is_leased_with_what_is_not_published,
                an_entry_is_published_until_its_last_event,
                a_stream_waits_for_its_pause,
                a_busy_organization_keeps_no_stream_waiting,
                a_round_of_the_stream_that_was_taken_over_notes_nothing,
                of_many_callers_at_once_no_two_lease_the_same_stream,
                histories_are_pruned_in_portions_and_the_trail_stays,
                checks_and_claims_are_pruned_when_they_are_old,
                whoever_was_not_told_of_what_is_pruned_learns_of_it_once,
                what_is_pruned_is_neither_told_nor_published,
                a_channel_that_rings_makes_its_sync_due_at_once,
                a_channel_that_rings_while_a_worker_holds_its_sync_lets_it_run_again,
                a_channel_shortens_no_pause_after_a_run_that_failed_or_was_throttled,
                a_run_that_begins_after_a_channel_has_rung_answers_it,
                a_channel_wakes_nothing_that_is_paused_or_stopped,
                a_wrong_word_or_name_rings_nothing_and_nothing_does_after_its_end,
                a_channel_takes_the_place_of_an_earlier_one,
            }
            audit {
                a_row_is_read_back_unchanged,
                every_kind_of_actor_is_read_back,
                rows_are_listed_newest_first_in_pages,
                rows_are_seen_by_their_own_organization_alone,
                the_places_of_a_chain_have_no_gaps_and_its_links_verify,
                every_part_of_a_row_is_linked_as_it_is_read_back,
                a_chain_without_rows_has_an_empty_head,
                organizations_have_chains_of_their_own,
                the_rows_of_one_transaction_stand_in_their_order,
                of_many_writers_at_once_every_row_has_a_place_of_its_own,
                a_refused_write_leaves_no_gap,
                a_chain_is_read_in_portions,
                a_row_is_found_by_its_identifier_within_its_own_organization,
                all_conditions_of_a_filter_must_hold,
                rows_before_a_place_are_read_newest_first,
                what_an_organization_wants_of_its_trail_is_kept_and_a_change_audited_once,
            }
            buckets {
                a_bucket_is_found_by_identifier_and_by_name_in_its_namespace,
                a_name_is_unique_within_a_namespace,
                a_bucket_needs_a_namespace_of_the_organization,
                another_organization_neither_sees_nor_removes_a_bucket,
                a_search_ignores_letter_case_and_takes_every_character_literally,
                buckets_are_listed_newest_first_in_pages,
                counts_follow_the_live_objects,
                a_removed_bucket_takes_syncs_jobs_and_objects_along,
                a_bucket_is_changed_field_by_field_and_keeps_its_counts,
                a_bucket_takes_no_name_of_another_in_its_namespace,
            }
            catalogue {
                nothing_is_known_of_new_files,
                what_the_source_told_of_a_copy_is_known_where_it_is_asked_for,
                what_the_bucket_has_is_known_tombstones_included,
                a_file_is_known_by_provider_and_authority,
                a_stretch_counts_what_it_has_and_the_page_does_not_name,
                what_this_pass_has_marked_does_not_count_again,
                rows_of_other_syncs_and_organizations_do_not_count,
                nothing_is_known_to_another_organization_or_of_a_sync_that_is_not_there,
                a_page_of_a_thousand_is_recalled_from_a_large_catalogue,
                an_open_dead_letter_is_known,
                an_exhausted_dead_letter_may_heal_once_a_day,
            }
            checks {
                a_check_is_in_the_history_with_the_status_afterwards,
                every_field_of_a_check_is_stored,
                a_check_applies_its_event_and_tells_of_it_in_the_same_step,
                a_check_that_changes_nothing_is_audited_and_announced_to_nobody,
                a_stale_outcome_is_in_the_history_and_changes_nothing,
                what_runs_out_soon_is_warned_about_once,
                of_many_checks_at_once_every_one_counts,
                a_recorded_check_ends_its_lease,
                a_lease_that_was_taken_over_records_nothing,
                an_expired_lease_that_nobody_took_over_still_records,
                a_lease_of_another_connection_records_nothing,
                a_released_lease_is_due_again_and_a_lost_one_releases_nothing,
                another_organization_neither_records_nor_sees_a_check,
                what_the_state_does_not_allow_is_not_recorded,
                checks_are_listed_newest_first_in_pages,
                availability_counts_what_could_tell,
                availability_looks_back_a_day_a_week_and_a_month,
            }
            connections {
                a_connection_is_read_back_unchanged,
                a_name_is_unique_among_connections_that_are_not_archived,
                of_many_callers_at_once_one_gets_the_name,
                names_of_two_organizations_do_not_clash,
                a_connection_needs_an_organization,
                an_archived_connection_is_found_by_identifier_only,
                another_organization_neither_sees_nor_changes_a_connection,
                all_conditions_of_a_filter_must_hold,
                connections_are_listed_newest_first_in_pages,
                events_are_folded_in_order_as_one_step,
                nothing_is_stored_when_nothing_changes,
                a_refused_event_undoes_the_events_before_it,
                a_stale_revision_is_refused,
                a_new_name_must_be_free,
                every_field_of_an_edit_is_stored,
                outcomes_at_the_same_time_are_all_counted,
                a_definite_failure_and_a_use_are_read_back,
                archiving_drops_the_credentials,
                archiving_stops_the_syncs_of_the_connection,
            }
            consents {
                a_consent_is_taken_out_once_as_it_was_begun,
                of_many_callers_at_once_one_takes_a_consent_out,
                an_expired_consent_is_not_to_be_had,
                an_organization_has_so_many_consents_under_way_and_no_more,
                of_many_callers_at_once_no_more_begin_a_consent_than_may,
                expired_consents_make_room,
            }
            dead_letters {
                open_dead_letters_are_listed_by_the_conditions_of_a_filter,
                dead_letters_are_listed_newest_first_in_pages,
                a_dead_letter_is_found_by_its_source_as_it_is_listed,
                exhausted_ones_are_counted_by_error_code,
                requeued_dead_letters_have_their_tries_back,
                marked_dead_letters_are_left_alone,
                closed_dead_letters_are_neither_listed_nor_changed,
                dead_letters_are_seen_and_changed_by_their_own_organization_and_sync,
                what_a_run_may_try_comes_in_the_order_of_its_last_try,
                an_exhausted_file_may_be_tried_when_it_was_left_alone_for_long_enough,
                what_may_be_tried_is_the_own_syncs_and_organizations,
            }
            events {
                an_announcing_row_leaves_its_entry_at_its_place,
                a_row_that_announces_nothing_leaves_no_entry,
                changes_of_every_kind_of_thing_are_announced,
                entries_are_read_in_portions_forwards_and_backwards,
                an_entry_is_found_by_its_audit_row,
                entries_are_seen_by_their_own_organization_alone,
                a_refused_write_announces_nothing,
                every_entry_has_its_audit_row,
                a_subscriber_misses_nothing_of_many_writers_at_once,
            }
            external_ids {
                the_first_external_id_is_issued_once_and_stays,
                an_issued_external_id_brings_its_audit_row_and_a_known_one_none,
                of_many_callers_at_once_all_get_the_same_external_id,
                external_ids_are_seen_by_their_own_organization_alone,
            }
            idempotency {
                a_key_is_claimed_by_one_request_until_patience_ends,
                keys_and_organizations_do_not_clash,
                a_key_serves_one_request_alone,
                of_many_requests_at_once_one_gets_the_claim,
                an_answer_is_given_again,
                an_effect_without_an_answer_is_told_and_the_first_one_counts,
                a_claim_that_was_given_up_is_free_at_once,
                a_claim_that_took_effect_is_not_given_up,
                an_earlier_attempt_never_passes_for_a_later_one,
                an_old_claim_is_as_if_it_were_not_there,
                a_claim_of_another_organization_or_of_nobody_is_worth_nothing,
                nothing_that_an_overtaken_request_makes_is_stored,
                nothing_that_an_overtaken_request_changes_is_stored,
                of_an_effect_and_a_take_over_at_once_one_wins,
            }
            jobs {
                a_job_is_found_under_its_own_sync_and_organization,
                jobs_are_listed_by_status,
                jobs_are_listed_newest_first_in_pages,
            }
            keys {
                the_highest_version_is_the_newest,
                a_version_is_never_replaced,
                of_many_callers_at_once_all_get_the_same_key,
                keys_are_seen_by_their_own_organization_alone,
            }
            namespaces {
                a_namespace_is_found_by_identifier_and_by_name,
                every_organization_has_its_default_namespace,
                a_name_is_unique_within_an_organization,
                namespaces_are_listed_newest_first_in_pages,
                namespaces_are_seen_by_their_own_organization_alone,
                a_namespace_is_changed_field_by_field,
                a_namespace_takes_no_name_of_another,
                a_namespace_with_buckets_is_removed_only_by_force_and_takes_them_along,
                an_empty_namespace_is_removed_and_its_name_free,
            }
            objects {
                an_object_is_found_in_its_bucket_tombstones_included,
                another_organization_neither_sees_nor_removes_an_object,
                tombstones_are_listed_only_when_asked_for,
                a_search_takes_every_character_literally,
                objects_are_listed_newest_first_in_pages_even_when_published_together,
                an_object_is_removed_once,
                what_a_person_removed_is_known_as_removed_by_a_person,
                an_object_is_found_by_its_source_tombstones_included,
                a_tombstone_is_restored_whoever_deleted_it,
                a_live_or_purged_object_is_not_restored,
                another_organization_or_bucket_restores_nothing,
                what_a_person_deletes_and_restores_is_announced,
            }
            runs {
                the_leased_sync_is_loaded_as_it_is_stored,
                a_stale_fence_is_refused_by_every_call,
                a_lease_of_another_job_or_organization_is_refused_by_every_call,
                a_finished_run_has_no_lease_any_more,
                an_expired_lease_that_nobody_took_over_is_still_the_runs,
                extending_a_lease_counts_from_now,
                every_write_extends_the_lease,
                a_step_is_published_all_together,
                a_step_without_a_checkpoint_keeps_the_last_one,
                a_changed_epoch_is_refused_and_nothing_is_stored,
                under_a_changed_credential_version_nothing_is_let_go,
                what_was_found_missing_through_other_credentials_agrees_with_nothing,
                a_changed_credential_version_is_refused_and_nothing_is_stored,
                a_change_that_leaves_the_status_alone_stops_no_run,
                after_a_suspension_has_returned_nothing_is_published,
                a_source_object_is_one_object_however_often_it_is_published,
                syncs_of_a_bucket_that_publish_the_same_source_at_once_make_one_object,
                equal_names_under_two_authorities_or_providers_are_two_objects,
                odd_source_names_survive_byte_for_byte,
                a_step_of_a_thousand_objects_is_one_step,
                a_tombstone_comes_back_to_life_when_it_is_published_again,
                what_is_published_is_held_and_not_missing,
                what_another_sync_brought_is_adopted,
                a_version_left_out_is_remembered_with_its_rule,
                a_version_left_out_leaves_the_object_and_the_mark_alone,
                returned_rows_are_missing_no_more,
                seen_rows_carry_the_pass_and_are_missing_no_more,
                drifted_rows_are_missing_though_they_are_seen,
                exactly_the_unlisted_rows_of_a_stretch_are_marked_in_the_order_of_bytes,
                a_stretch_without_ends_is_the_whole_catalogue,
                a_stretch_may_be_empty,
                a_stretch_covers_rows_of_its_own_sync_and_authority,
                what_a_put_and_a_stretch_say_of_one_page_fits_together,
                a_step_without_names_writes_nothing_to_the_catalogue,
                a_file_that_fails_gets_a_dead_letter,
                every_failure_is_one_more_try_until_the_third_exhausts_it,
                an_exhausted_file_that_fails_again_only_notes_the_try,
                another_version_of_a_failed_file_starts_over,
                a_failed_file_of_the_bucket_stays_as_it_was,
                what_is_copied_adopted_or_left_out_resolves_its_dead_letter,
                a_dead_letter_is_its_own_syncs_matter,
                a_refused_step_notes_no_failure,
                an_older_copy_never_replaces_a_newer_publication,
                what_a_person_deletes_after_planning_stays_deleted,
                what_another_sync_publishes_meanwhile_is_not_published_twice,
                what_another_sync_revives_meanwhile_is_not_published_twice,
                counters_stay_conserved_when_part_of_a_step_is_passed_over,
                a_person_who_deletes_while_a_step_is_published_has_the_last_word,
                what_was_not_seen_is_let_go_and_becomes_a_tombstone,
                entries_are_let_go_in_portions,
                a_shared_object_goes_when_the_last_sync_lets_go,
                a_removed_sync_holds_on_to_nothing,
                adopted_names_that_the_bucket_does_not_have_are_passed_over,
                what_a_person_removed_stays_the_persons_tombstone,
                unseen_rows_are_marked_a_step_at_a_time,
                only_rows_beyond_the_merged_part_need_a_mark,
                rows_of_other_authorities_are_missing_when_a_listing_is_complete,
                a_survey_counts_rows_that_point_at_objects,
                denied_paths_are_taken_literally,
                the_path_of_an_object_decides_what_is_denied,
                held_deletes_are_told_with_their_number_and_reason,
                a_second_hold_keeps_the_beginning_of_the_first,
                deletes_are_held_in_portions,
                only_what_two_complete_passes_agree_on_goes,
                an_incomplete_pass_agrees_with_nobody,
                what_another_pass_missed_is_not_let_go,
                missing_rows_without_an_object_just_go,
                held_deletes_are_over_when_nothing_waits_any_more,
                a_complete_pass_clears_checkpoint_and_failures_and_plans_the_next,
                a_complete_pass_completes_a_sync_that_runs_once,
                an_incomplete_pass_is_gone_on_with_whatever_the_mode,
                failed_runs_are_counted_in_a_row,
                an_interrupted_run_is_gone_on_with_by_a_resume,
                a_skipped_run_leaves_failures_and_last_sync_alone,
                a_queued_job_is_due_at_once_when_a_run_ends,
                how_runs_went_is_summed_up,
                a_step_announces_what_arrived_and_what_changed_in_order,
                what_a_step_passes_over_is_not_announced,
                a_source_that_is_put_twice_is_announced_once_as_it_ends,
                a_step_that_publishes_nothing_announces_nothing,
                what_is_let_go_of_is_announced_where_it_became_a_tombstone,
                a_run_that_begins_and_ends_is_audited_and_announced,
                a_run_that_is_taken_over_is_told_to_have_ended_before_the_next_began,
                what_lies_elsewhere_is_told_by_its_row_and_object_alone,
                what_lies_elsewhere_without_a_row_that_points_at_an_object_is_passed_over,
                a_put_brings_its_place_and_an_adoption_leaves_the_row_where_it_is,
                files_that_a_feed_tells_are_absent_are_missing,
                a_folder_that_is_absent_stands_for_all_that_lies_in_it,
                what_is_certain_outweighs_what_is_not,
                absent_rows_are_marked_in_portions,
                a_thousand_absences_are_one_step_in_a_large_catalogue,
                rows_of_other_authorities_and_syncs_are_not_absent,
                hidden_rows_wait_through_many_passes_and_go_by_a_persons_word_alone,
                hidden_rows_that_a_person_discards_leave_their_objects_alone,
                hidden_rows_without_an_object_just_go,
                what_was_hidden_and_is_there_again_is_hidden_no_more,
                only_missing_rows_become_hidden,
                what_the_provider_is_to_be_asked_about_is_read_in_order,
                a_complete_pass_keeps_where_the_feed_stands,
                a_take_over_keeps_where_the_feed_stands,
            }
            sessions {
                of_many_callers_at_once_exactly_one_gets_the_right,
                a_kept_token_answers_every_wish_until_it_is_to_be_replaced,
                a_token_that_was_refused_is_not_given_to_whoever_wishes_a_later_one,
                a_right_that_was_given_back_or_has_ended_is_given_to_another,
                a_token_comes_with_the_right_to_it_even_when_that_has_ended,
                what_a_right_brings_that_is_somebody_elses_by_then_is_not_kept_but_what_was_rotated,
                a_right_serves_once,
                a_rotated_refresh_token_changes_the_sealed_credentials_alone,
                what_earlier_credentials_brought_answers_no_wish,
                an_archived_connection_has_no_token,
                tokens_are_their_own_connections_and_organizations_alone,
            }
            syncs {
                a_sync_is_born_due_with_its_first_job_queued,
                a_sync_needs_bucket_and_usable_connection_of_the_organization,
                settings_are_read_back_unchanged,
                a_sync_is_found_in_its_bucket_and_organization,
                all_conditions_of_a_filter_must_hold,
                syncs_are_listed_newest_first_in_pages,
                a_removed_sync_takes_jobs_and_dead_letters_along_and_leaves_the_objects,
                new_settings_are_stored_and_the_revision_grows,
                a_change_of_what_somebody_else_has_changed_is_refused,
                of_many_changes_at_once_one_is_stored,
                a_change_of_another_organization_or_bucket_finds_nothing,
                changed_rules_drop_progress_forget_what_was_left_out_and_are_due_at_once,
                changed_rules_stop_the_run_at_work_and_agree_with_no_earlier_pass,
                changed_rules_leave_what_is_not_active_at_rest,
                a_paused_sync_does_not_start,
                a_sync_is_paused_once,
                a_run_at_work_ends_in_its_own_time,
                a_sync_that_completes_is_paused_no_more,
                a_resumed_sync_runs_at_once,
                an_unlocked_sync_goes_on_with_a_resume_at_once,
                an_expired_lease_is_unlocked_too,
                a_paused_sync_that_is_unlocked_stays_paused,
                a_paused_sync_is_not_triggered,
                another_organization_or_bucket_stops_and_frees_nothing,
                approved_deletes_are_carried_out_in_portions,
                an_approved_delete_of_a_shared_object_waits_for_the_other_sync,
                discarded_deletes_leave_their_objects_to_nobody,
                another_organization_or_bucket_decides_on_no_deletes,
                a_trigger_queues_one_job_and_makes_the_sync_due,
                a_trigger_runs_a_completed_sync_once_more,
                a_trigger_counts_an_expired_lease_as_nobody_at_work,
                a_full_trigger_drops_the_progress_of_an_incomplete_pass,
                a_trigger_of_another_organization_or_bucket_finds_nothing,
                a_full_run_that_is_asked_for_meanwhile_begins_with_the_next_lease,
                a_full_run_of_a_sync_that_runs_once_is_owed_to_it,
                a_full_run_that_was_asked_for_resumes_nothing,
                held_deletes_and_what_becomes_of_them_are_announced,
                discarded_deletes_are_announced_and_delete_nothing,
                a_full_trigger_forgets_where_the_feed_stands,
                a_full_run_that_is_asked_for_meanwhile_forgets_where_the_feed_stands,
                changed_rules_forget_where_the_feed_stands,
            }
            webhooks {
                a_webhook_is_read_back_unchanged_by_its_own_organization_alone,
                a_webhook_needs_an_organization,
                a_webhook_is_told_of_what_happens_from_its_creation_on,
                a_webhook_that_is_created_among_many_writers_misses_nothing,
                all_conditions_of_a_filter_must_hold,
                webhooks_are_listed_newest_first_in_pages,
                settings_are_replaced_whole,
                of_two_replacements_that_read_the_same_one_is_stored,
                a_round_that_pauses_the_webhook_tells_of_it,
                becoming_active_again_clears_the_health_and_tells_what_happened_meanwhile,
                becoming_active_again_ends_the_round_that_began_before,
                a_repair_ends_the_round_that_began_before,
                a_round_tells_of_no_pause_of_what_was_switched_off_meanwhile,
                a_round_does_not_bring_back_what_was_switched_off_meanwhile,
                a_removed_webhook_takes_its_deliveries_along,
                a_round_is_stored_with_every_attempt,
                the_next_round_begins_after_the_pause,
                a_round_whose_lease_was_taken_over_stores_nothing,
                events_are_redelivered_to_a_webhook_that_rests_too,
                a_redelivery_waits_for_no_pause_but_for_its_own,
                a_redelivery_that_is_asked_for_during_a_round_does_not_wait_for_its_pause,
                a_redelivery_that_is_asked_for_again_during_a_round_is_delivered_again,
                a_redelivery_during_a_pause_leaves_pause_and_attempts_as_they_are,
                attempts_are_listed_newest_first_in_pages,
            }
        }
    };
}

/// Hands the list of all promises of blob stores to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! each_blob_promise {
    ($then:ident) => {
        $crate::$then! {
            blobs {
                a_blob_is_read_back_byte_for_byte,
                an_empty_blob_is_a_blob,
                eight_mebibytes_arrive_whole_with_the_right_hash,
                a_failing_stream_leaves_nothing_behind,
                an_abandoned_put_leaves_nothing_to_see,
                a_blob_appears_only_when_it_is_whole,
                a_key_is_written_once,
                of_many_writers_of_one_key_exactly_one_wins,
                any_range_can_be_read,
                what_is_not_there_cannot_be_opened,
                removing_is_for_good_and_may_be_repeated,
                reading_goes_on_when_the_blob_is_removed_meanwhile,
                blobs_are_listed_in_the_order_of_their_keys,
                a_blob_tells_its_age,
            }
        }
    };
}

/// Hands the list of what any honest provider shows to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! each_honest_provider_promise {
    ($then:ident) => {
        $crate::$then! {
            honest {
                pages_hold_at_most_the_limit_and_cover_every_file_once,
                no_page_holds_more_than_a_thousand,
                a_cursor_is_good_for_an_account_that_was_opened_anew,
                a_cursor_may_be_used_twice,
                an_empty_scope_lists_nothing_and_is_no_error,
                a_missing_scope_is_no_empty_one,
                a_folder_is_no_beginning_of_a_name,
                an_empty_file_is_a_file,
                every_byte_of_a_file_arrives,
                files_fetched_at_the_same_time_are_not_mixed_up,
                hostile_names_come_back_as_they_are,
                a_name_of_1024_bytes_comes_back_as_it_is,
                a_changed_file_has_another_version_and_no_other_file_has,
                a_removed_file_is_listed_no_more,
                an_older_version_is_not_to_be_had,
                a_removed_file_is_not_to_be_had,
                a_look_tells_of_a_file_what_the_listing_does,
                a_look_at_what_is_not_there_finds_nothing,
                a_look_sees_the_present_version,
                tags_come_with_a_file_when_they_are_wished,
                what_was_attached_to_a_file_comes_with_it_and_with_a_look,
                the_name_of_a_version_comes_with_its_bytes_and_with_a_look,
                wrong_credentials_are_told_by_every_call,
                a_working_connection_passes_its_check,
                a_check_of_a_path_that_works_passes_and_says_so,
                a_check_of_a_missing_path_fails_for_the_path_alone,
                the_authority_is_the_same_at_every_opening,
            }
        }
    };
}

/// Hands the list of what a provider makes of a place that misbehaves to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! each_misbehaving_provider_promise {
    ($then:ident) => {
        $crate::$then! {
            misbehaving {
                throttling_is_told_with_the_time_to_wait,
                an_outage_is_told_and_may_pass,
                broken_connections_may_pass,
                credentials_that_expire_between_pages_are_told,
                a_denied_listing_is_no_empty_one,
                a_listing_that_is_cut_short_never_ends_well,
                a_listing_that_leads_to_itself_never_ends_well,
                pages_that_are_short_or_empty_end_no_listing,
                an_expired_cursor_asks_for_a_new_start,
                a_changed_byte_is_noticed,
                bytes_that_break_off_are_gone_on_with_where_they_broke,
                bytes_that_always_break_off_are_an_error_and_no_short_file,
                bytes_of_two_versions_are_never_mixed,
                a_file_that_is_denied_spoils_no_other,
            }
        }
    };
}

/// One test per promise of every repository port, in a module per port.
///
/// The argument is an async closure or function without parameters that gives a fresh [`Harness`](crate::Harness):
/// repositories on an empty database of its own. Call it once, at the top of a test file:
///
/// ```text
/// wharf_testkit::repository_suites!(async || Harness::in_real_time(open_an_empty_database().await));
/// ```
///
/// In real time, [`Harness::ageing`](crate::Harness::ageing) is needed too.
#[macro_export]
macro_rules! repository_suites {
    ($harness:expr) => {
        async fn repository_harness() -> $crate::Harness {
            ($harness)().await
        }

        $crate::each_repository_promise!(repository_tests);
    };
}

/// One test per promise of [`BlobStore`](wharf_ports::BlobStore), in the module `blobs`.
///
/// The argument is an async closure or function without parameters that gives a fresh
/// [`BlobHarness`](crate::BlobHarness): an empty store.
#[macro_export]
macro_rules! blob_store_suite {
    ($harness:expr) => {
        async fn blob_harness() -> $crate::BlobHarness {
            ($harness)().await
        }

        $crate::each_blob_promise!(blob_tests);
    };
}

/// One test per promise of [`StorageProvider`](wharf_ports::StorageProvider), in the modules `honest` and `misbehaving`.
///
/// The argument is an async closure or function without parameters that gives a fresh
/// [`Box<dyn UnrulyPlace>`](crate::UnrulyPlace): an empty scope at the provider. For a place that cannot be told to
/// misbehave, `honest` before a closure that gives a [`Box<dyn Place>`](crate::Place) leaves the second module away.
#[macro_export]
macro_rules! provider_suite {
    (honest $place:expr) => {
        async fn honest_place() -> Box<dyn $crate::Place> {
            let place = ($place)().await;
            place
        }

        $crate::each_honest_provider_promise!(honest_provider_tests);
    };
    ($place:expr) => {
        async fn unruly_place() -> Box<dyn $crate::UnrulyPlace> {
            ($place)().await
        }

        $crate::provider_suite!(honest unruly_place);
        $crate::each_misbehaving_provider_promise!(unruly_provider_tests);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! honest_provider_tests {
    ($($group:ident { $($promise:ident,)* })*) => {
        $(
            mod $group {
                $(
                    #[test]
                    fn $promise() {
                        $crate::keep_provider(
                            super::honest_place,
                            $crate::suites::provider::$group::$promise,
                        );
                    }
                )*
            }
        )*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! unruly_provider_tests {
    ($($group:ident { $($promise:ident,)* })*) => {
        $(
            mod $group {
                $(
                    #[test]
                    fn $promise() {
                        $crate::keep_provider(
                            super::unruly_place,
                            $crate::suites::provider::$group::$promise,
                        );
                    }
                )*
            }
        )*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! repository_tests {
    ($($port:ident { $($promise:ident,)* })*) => {
        $(
            mod $port {
                $(
                    #[test]
                    fn $promise() {
                        $crate::keep(super::repository_harness, $crate::suites::$port::$promise);
                    }
                )*
            }
        )*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! blob_tests {
    ($($port:ident { $($promise:ident,)* })*) => {
        $(
            mod $port {
                $(
                    #[test]
                    fn $promise() {
                        $crate::keep_blobs(super::blob_harness, $crate::suites::$port::$promise);
                    }
                )*
            }
        )*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! named_promises {
    ($($port:ident { $($promise:ident,)* })*) => {
        vec![$($(NamedPromise {
            name: concat!(stringify!($port), "::", stringify!($promise)),
            promise: |harness| Box::pin($crate::suites::$port::$promise(harness)),
        },)*)*]
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! named_provider_promises {
    ($($group:ident { $($promise:ident,)* })*) => {
        vec![$($(ProviderPromise {
            name: concat!(stringify!($group), "::", stringify!($promise)),
            promise: |place| Box::pin($crate::suites::provider::$group::$promise(place)),
        },)*)*]
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! promise_names {
    ($($port:ident { $($promise:ident,)* })*) => {
        [$($(concat!(stringify!($port), "::", stringify!($promise)).to_owned(),)*)*]
    };
}

/// A promise and the name of its test.
#[derive(Clone, Copy)]
pub struct NamedPromise {
    /// `<port>::<promise>`
    pub name: &'static str,
    promise: fn(Harness) -> LocalBoxFuture<'static, ()>,
}

impl NamedPromise {
    /// Whether it is kept; prints what is wrong when it is not, as a failing test does.
    pub fn is_kept(&self, harness: impl AsyncFnOnce() -> Harness) -> bool {
        let promise = self.promise;
        catch_unwind(AssertUnwindSafe(|| {
            keep(harness, async move |harness| promise(harness).await);
        }))
        .is_ok()
    }
}

impl fmt::Debug for NamedPromise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Every promise of every repository port.
pub fn repository_promises() -> Vec<NamedPromise> {
    each_repository_promise!(named_promises)
}

/// Every promise of a provider.
pub fn provider_promises() -> Vec<ProviderPromise> {
    let mut promises: Vec<ProviderPromise> = each_honest_provider_promise!(named_provider_promises);
    promises.extend(each_misbehaving_provider_promise!(named_provider_promises));
    promises
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every public function in a suite is a promise, and every promise must be in the list.
    fn assert_listed(port: &str, text: &str, listed: &[String]) {
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("pub async fn ") else {
                continue;
            };
            let name = format!("{port}::{}", rest.split('(').next().unwrap());
            assert!(
                listed.contains(&name),
                "{name} is in no list, so that no test looks at it"
            );
        }
    }

    #[test]
    fn no_promise_is_forgotten() {
        let listed: Vec<_> = repository_promises()
            .iter()
            .map(|promise| promise.name.to_owned())
            .collect();
        assert_listed("access", include_str!("suites/access.rs"), &listed);
        assert_listed(
            "across_organizations",
            include_str!("suites/across_organizations.rs"),
            &listed,
        );
        assert_listed("audit", include_str!("suites/audit.rs"), &listed);
        assert_listed("access", include_str!("suites/access/users.rs"), &listed);
        assert_listed("access", include_str!("suites/access/keys.rs"), &listed);
        assert_listed(
            "across_organizations",
            include_str!("suites/across_organizations/checks.rs"),
            &listed,
        );
        assert_listed(
            "across_organizations",
            include_str!("suites/across_organizations/dispatch.rs"),
            &listed,
        );
        assert_listed(
            "across_organizations",
            include_str!("suites/across_organizations/channels.rs"),
            &listed,
        );
        assert_listed("consents", include_str!("suites/consents.rs"), &listed);
        assert_listed("sessions", include_str!("suites/sessions.rs"), &listed);
        assert_listed("runs", include_str!("suites/runs/feeds.rs"), &listed);
        assert_listed("audit", include_str!("suites/audit/chain.rs"), &listed);
        assert_listed("audit", include_str!("suites/audit/reading.rs"), &listed);
        assert_listed("checks", include_str!("suites/checks.rs"), &listed);
        assert_listed("events", include_str!("suites/events.rs"), &listed);
        assert_listed(
            "idempotency",
            include_str!("suites/idempotency.rs"),
            &listed,
        );
        assert_listed(
            "runs",
            include_str!("suites/runs/announcements.rs"),
            &listed,
        );
        assert_listed("webhooks", include_str!("suites/webhooks.rs"), &listed);
        assert_listed("buckets", include_str!("suites/buckets.rs"), &listed);
        assert_listed("catalogue", include_str!("suites/catalogue.rs"), &listed);
        assert_listed(
            "connections",
            include_str!("suites/connections.rs"),
            &listed,
        );
        assert_listed(
            "dead_letters",
            include_str!("suites/dead_letters.rs"),
            &listed,
        );
        assert_listed(
            "external_ids",
            include_str!("suites/external_ids.rs"),
            &listed,
        );
        assert_listed("jobs", include_str!("suites/jobs.rs"), &listed);
        assert_listed("keys", include_str!("suites/keys.rs"), &listed);
        assert_listed("namespaces", include_str!("suites/namespaces.rs"), &listed);
        assert_listed("objects", include_str!("suites/objects.rs"), &listed);
        assert_listed("runs", include_str!("suites/runs/leases.rs"), &listed);
        assert_listed("runs", include_str!("suites/runs/steps.rs"), &listed);
        assert_listed("runs", include_str!("suites/runs/rows.rs"), &listed);
        assert_listed("runs", include_str!("suites/runs/failures.rs"), &listed);
        assert_listed("runs", include_str!("suites/runs/overtaken.rs"), &listed);
        assert_listed("runs", include_str!("suites/runs/letting_go.rs"), &listed);
        assert_listed("runs", include_str!("suites/runs/holding.rs"), &listed);
        assert_listed("runs", include_str!("suites/runs/endings.rs"), &listed);
        assert_listed("syncs", include_str!("suites/syncs/stored.rs"), &listed);
        assert_listed("syncs", include_str!("suites/syncs/changes.rs"), &listed);
        assert_listed("syncs", include_str!("suites/syncs/pausing.rs"), &listed);
        assert_listed(
            "syncs",
            include_str!("suites/syncs/held_deletes.rs"),
            &listed,
        );
        assert_listed("syncs", include_str!("suites/syncs/triggers.rs"), &listed);
        assert_listed(
            "blobs",
            include_str!("suites/blobs.rs"),
            &each_blob_promise!(promise_names),
        );
        let listed: Vec<_> = provider_promises()
            .iter()
            .map(|promise| promise.name.to_owned())
            .collect();
        assert_listed("honest", include_str!("suites/provider/honest.rs"), &listed);
        assert_listed(
            "misbehaving",
            include_str!("suites/provider/misbehaving.rs"),
            &listed,
        );
    }
}
