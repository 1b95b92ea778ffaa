"""Step ids are the names of recovery state on disk."""

from groundswell import step_ids


def test_step_ids_are_frozen() -> None:
    # Renaming one silently drops the state of every running job.
    assert (step_ids.POSTS_FLOW, step_ids.SOURCE, step_ids.DOCUMENTS, step_ids.DEAD_LETTERS, step_ids.SLOTS) == (
        "posts",
        "source",
        "documents",
        "dead-letters",
        32,
    )


def test_every_slot_has_one_owner_at_any_size() -> None:
    for processes in range(1, step_ids.SLOTS + 1):
        owned = [slot for process in range(processes) for slot in step_ids.slots_of(process, processes)]
        assert sorted(owned) == list(range(step_ids.SLOTS))
