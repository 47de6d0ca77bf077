//! The conformance suite can fail: each of its functions catches the faults that are its own.

use std::collections::HashSet;

use wix_visitor_testkit::conformance;
use wix_visitor_tests::broken::{BrokenPlace, Fault};

macro_rules! caught {
    ($($function:ident: $($test:ident $fault:ident),+;)+) => {
        const CATCHING: &[&str] = &[$(stringify!($function)),+];

        $($(
            // On one thread, where tasks take turns: whether a fault shows is not left to chance.
            #[tokio::test]
            async fn $test() {
                let verdict = conformance::$function(&BrokenPlace::new(Some(Fault::$fault))).await;
                let violation = verdict.expect_err("the suite takes a broken store for a good one");
                println!("{}: {violation}", stringify!($test));
            }
        )+)+
    };
}

caught! {
    a_first_write_needs_an_absent_record:
        a_first_write_that_replaces_is_caught FirstWriteReplaces;
    a_swap_needs_the_version_it_names:
        a_store_that_compares_after_writing_is_caught WritesThenCompares;
    an_etag_is_compared_in_every_bit:
        a_store_that_compares_half_the_etag_is_caught ComparesHalfTheEtag;
    equal_bytes_are_not_equal_versions:
        a_store_that_compares_bytes_is_caught ComparesBytesInsteadOfEtags;
    keys_that_look_alike_are_kept_apart:
        a_store_that_cuts_keys_short_is_caught CutsKeysShort;
    of_many_first_writes_one_wins:
        a_first_write_in_two_steps_is_caught FirstWriteInTwoSteps;
    a_swap_is_atomic_against_other_handles:
        a_lost_update_is_caught ComparesAndWritesInTwoSteps;
    a_record_stays_for_its_keep:
        a_time_to_live_from_nowhere_is_caught ExpiresAfterFourHours;
    the_last_write_sets_the_keep:
        a_store_that_keeps_the_first_keep_is_caught KeepsTheFirstKeep;
    a_record_outlives_a_crowd_of_short_lived_ones:
        a_store_that_evicts_is_caught EvictsTheOldest;
    any_keep_is_taken:
        a_store_that_overflows_on_the_longest_keep_is_caught OverflowsOnTheLongestKeep;
    every_byte_comes_back:
        a_store_that_stops_at_zero_is_caught StopsAtZero,
        a_store_for_text_only_is_caught KeepsTextOnly;
    records_of_every_length_come_back:
        a_store_that_cuts_records_is_caught CutsRecordsAtFourKib;
    a_record_too_large_is_refused_or_kept_whole:
        a_store_that_cuts_what_is_too_large_is_caught CutsWhatIsTooLarge;
    every_key_is_taken:
        a_store_that_refuses_long_keys_is_caught RefusesLongKeys;
    an_acknowledged_write_survives_a_crash:
        a_store_that_acknowledges_too_early_is_caught AcknowledgesBeforeItIsDurable;
    no_reader_sees_half_a_record:
        a_store_that_writes_in_two_pieces_is_caught WritesInTwoPieces;
    a_call_that_is_given_up_leaves_a_whole_record:
        a_store_that_removes_before_it_writes_is_caught RemovesThenWrites;
    a_load_sees_the_last_write_of_any_handle:
        a_lagging_replica_behind_loads_is_caught LoadsFromALaggingReplica;
    a_conflict_shows_the_last_write_of_any_handle:
        a_lagging_replica_behind_conflicts_is_caught ShowsConflictsFromALaggingReplica;
    a_damaged_record_is_corrupt_and_never_absent:
        a_store_that_takes_damage_for_absence_is_caught TakesDamageForAbsence;
    what_is_reported_as_not_applied_never_is:
        a_wrong_error_kind_is_caught CallsAnOutageMisconfigured,
        a_store_that_applies_what_it_calls_unavailable_is_caught AppliesWhatItCallsUnavailable;
    an_error_shows_nothing_of_the_record:
        an_error_that_shows_the_record_is_caught ShowsTheRecordInErrors;
    an_outage_is_an_error_within_the_deadline:
        a_store_that_hangs_is_caught HangsInAnOutage,
        a_store_that_takes_an_outage_for_absence_is_caught TakesAnOutageForAbsence;
    a_repeated_write_meets_its_own_etag:
        a_store_that_hides_a_record_from_its_writer_is_caught HidesTheRecordFromItsWriter;
    a_change_by_any_handle_is_told_to_all_who_listen:
        a_store_that_listens_in_vain_is_caught ListensInVain,
        a_store_that_tells_of_every_site_is_caught TellsOfEverySite;
    every_record_that_stands_is_listed:
        a_list_that_ends_too_early_is_caught ListsTheFirstPageAlone,
        a_list_of_every_site_is_caught ListsEverySite;
    a_purge_drops_what_is_over_and_nothing_else:
        a_purge_of_what_is_not_over_is_caught PurgesWhatIsNotOver,
        a_purge_of_what_cannot_be_read_is_caught PurgesWhatItCannotRead;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_store_without_a_fault_holds_everything() {
    let report = conformance::all(&BrokenPlace::new(None)).await;
    assert!(report.holds() && report.not_shown().is_empty(), "{report}");
    let suite: HashSet<_> = report.outcomes().iter().map(|outcome| outcome.name).collect();
    let catching: HashSet<_> = CATCHING.iter().copied().collect();
    assert_eq!(suite, catching, "every function of the suite catches a fault");
}
