//! The life of a generation: published, caught up, promoted, continued, retired, rolled back.
//!
//! What may happen to a generation is decided here and nowhere else, from the fold of the catalog ([`ViewGenerations`]) and from
//! the offsets that its real-time view has reached in the store ([`Reached`]): by batch, by any speed worker, and by the
//! API alike, whichever slots a process happens to fold.
//!
//! ```text
//! publish ──▶ candidate ──(caught up)──▶ serving ──(another is promoted)──▶ previous ──▶ obsolete ──▶ retired
//!                 ▲                         ▲                                   │
//!                 └─ request, by hand       └──────────── roll back ────────────┘
//! ```

use std::collections::BTreeMap;

use futures::future::try_join_all;

use crate::catalog::{
    Catalog, CatalogError, CatalogStore, GenerationRecord, Record, Road, ViewGenerations, append_with,
};
use crate::cut::Cut;
use crate::position::{Generation, Offset, Partition};
use crate::realtime::{RealtimeStore, Slot, StoreError};

/// Next offset by partition: everything below is in the answer.
pub type Offsets = BTreeMap<Partition, Offset>;

/// A generation and how far it has come.
#[derive(Clone, Copy, Debug)]
pub struct Reached<'a> {
    pub record: &'a GenerationRecord,
    pub offsets: &'a Offsets,
}

/// Whether everything below `wanted` is also below `offsets`; a partition that is absent stands at its beginning.
pub fn covers(offsets: &Offsets, wanted: &Offsets) -> bool {
    wanted.iter().all(|(partition, wanted)| offsets.get(partition).copied().unwrap_or_default() >= *wanted)
}

/// Whether `candidate` may answer instead of `serving`: it covers all that answers cover now.
///
/// Where nothing answers yet, it must have something to answer with: a batch view, or a slot.
///
/// Offsets of another topic say nothing; there it must have reached `ends`, the log's ends, and where nobody knows them it
/// has not.
pub fn caught_up(candidate: Reached, serving: Option<Reached>, ends: Option<&Offsets>) -> bool {
    let Some(serving) = serving else {
        return candidate.record.batch_view.is_some() || !candidate.offsets.is_empty();
    };
    let same_topic = serving.record.definition.source.topic == candidate.record.definition.source.topic;
    let wanted = if same_topic { Some(serving.offsets) } else { ends };
    wanted.is_some_and(|wanted| covers(candidate.offsets, wanted))
}

/// The offsets that a generation has reached in the store: its slots', and its cut's where there is no slot.
pub async fn reached(store: &dyn RealtimeStore, record: &GenerationRecord) -> Result<Offsets, StoreError> {
    let in_cut = record.cut.0.keys().last().map_or(0, |last| last.0 + 1);
    let known = in_cut.max(record.definition.source.partitions);
    let all = try_join_all((0..known).map(|partition| next(store, record, Partition(partition)))).await?;
    let named = (0..).map(Partition).zip(all);
    let mut offsets: Offsets = named.filter_map(|(partition, next)| Some((partition, next?))).collect();
    // Beyond the partitions that the record names there may be ones that were added since.
    for partition in (known..).map(Partition) {
        let Some(next) = next(store, record, partition).await? else { break };
        offsets.insert(partition, next);
    }
    Ok(offsets)
}

async fn next(
    store: &dyn RealtimeStore,
    record: &GenerationRecord,
    partition: Partition,
) -> Result<Option<Offset>, StoreError> {
    let slot = Slot { view: record.view.clone(), generation: record.generation, partition };
    let stored = store.progress(&slot).await?.map(|progress| progress.point.next);
    Ok(stored.or_else(|| record.cut.0.get(&partition).map(|point| point.next)))
}

/// Promotes the candidate of `view` if it has caught up. Returns the generation that was promoted.
pub async fn promote_if_caught_up<E>(
    catalog: &dyn CatalogStore,
    store: &dyn RealtimeStore,
    view: &str,
) -> Result<Option<Generation>, E>
where
    E: From<CatalogError> + From<StoreError>,
{
    let generations = catalog.load().await?.view(view);
    let Some(record) = generations.candidate() else { return Ok(None) };
    let offsets = reached(store, record).await?;
    let serving = match generations.serving() {
        Some(record) => Some((record, reached(store, record).await?)),
        None => None,
    };
    let serving = serving.as_ref().map(|(record, offsets)| Reached { record, offsets });
    if !caught_up(Reached { record, offsets: &offsets }, serving, None) {
        return Ok(None);
    }
    let decide = |catalog: &Catalog| {
        let now = catalog.view(view);
        let waits = now.candidate == Some(record.generation);
        waits.then(|| promote(&now, view, record.generation, generations.serving)).flatten()
    };
    Ok(append_with(catalog, decide).await?.map(|_| record.generation))
}

/// Lets `generation` answer, if it is still there and what answers is still `over`, the one that it was compared with.
pub fn promote(now: &ViewGenerations, view: &str, generation: Generation, over: Option<Generation>) -> Option<Record> {
    let same = now.serving == over && now.generations.contains_key(&generation);
    same.then(|| Record::Promoted { view: view.to_owned(), generation })
}

/// Lets `generation` answer once it has caught up; not twice, and not one that is gone or answers by now.
pub fn request(now: &ViewGenerations, view: &str, generation: Generation) -> Option<Record> {
    let open = now.generations.contains_key(&generation)
        && now.serving != Some(generation)
        && now.candidate != Some(generation);
    open.then(|| Record::Requested { view: view.to_owned(), generation })
}

/// The same for a generation that was published earlier and was not to take over then: only if nothing newer answers or waits.
pub fn request_later(now: &ViewGenerations, view: &str, generation: Generation) -> Option<Record> {
    let waits = now.serving.is_none_or(|serving| serving < generation) && now.candidate.is_none();
    waits.then(|| Record::Requested { view: view.to_owned(), generation })
}

/// Retires a generation if nobody reads it or will.
pub fn retire(now: &ViewGenerations, view: &str, generation: Generation) -> Option<Record> {
    now.obsolete().contains(&generation).then(|| Record::Retired { view: view.to_owned(), generation })
}

/// Publishes `draft` as the view's next generation, whatever number it has.
pub fn publish(now: &ViewGenerations, draft: &GenerationRecord) -> Record {
    let generation = Generation(now.last.0 + 1);
    Record::Published(Box::new(GenerationRecord { generation, ..draft.clone() }))
}

/// The view's newest generation if batch made it from the same definition and the same events: of `archive`, up to `cut`.
pub fn published_before<'a>(
    now: &'a ViewGenerations,
    fingerprint: &str,
    cut: &Cut,
    archive: Option<&str>,
) -> Option<&'a GenerationRecord> {
    let newest = now.generations.get(&now.last)?;
    let same = newest.fingerprint == fingerprint && newest.cut.offsets() == cut.offsets();
    let same_archive = archive.is_none_or(|archive| newest.is_of_archive(archive));
    (same && same_archive && is_batch(newest.road)).then_some(newest)
}

/// Whether the batch layer computes generations of this road.
pub fn is_batch(road: Road) -> bool {
    matches!(road, Road::Batch | Road::Incremental)
}

/// What a batch view is continued to: a view's definition, and the archive with its end.
#[derive(Clone, Copy, Debug)]
pub struct Continuation<'a> {
    pub fingerprint: &'a str,
    pub cut: &'a Cut,
    /// The archive's identity.
    pub archive: &'a str,
}

impl Continuation<'_> {
    /// The batch view of `record`, from which the continuation starts; or why it cannot.
    pub fn of<'r>(&self, record: &'r GenerationRecord) -> Result<&'r str, &'static str> {
        if record.fingerprint != self.fingerprint {
            return Err("the view's definition has changed");
        }
        if !self.cut.covers(&record.cut) {
            return Err("the archive ends before its cut");
        }
        if !record.is_of_archive(self.archive) {
            return Err("it was computed from an archive that is gone");
        }
        record.batch_view.as_deref().ok_or("it has no batch view")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cut::CutPoint;
    use crate::project::{Column, Definition, Source};

    fn record(topic: &str, batch_view: Option<&str>) -> GenerationRecord {
        let source = Source {
            name: "s".into(),
            topic: topic.into(),
            partitions: 1,
            event_time: "ts".into(),
            lateness_us: 0,
            max_future_us: 0,
            key: vec![],
            columns: vec![Column::parse("ts", "TIMESTAMP NOT NULL").unwrap()],
        };
        let definition = Definition { sql: "SELECT count(*) AS n FROM s".into(), source, references: vec![] };
        GenerationRecord {
            batch_view: batch_view.map(str::to_owned),
            ..GenerationRecord::genesis("v", definition, "f")
        }
    }

    fn offsets(next: &[u64]) -> Offsets {
        (0..).map(Partition).zip(next.iter().copied().map(Offset)).collect()
    }

    fn caught(candidate: (&str, &[u64]), serving: Option<(&str, &[u64])>, ends: Option<&[u64]>) -> bool {
        let (ours, theirs) = (record(candidate.0, None), serving.map(|(topic, _)| record(topic, None)));
        let (our, their) = (offsets(candidate.1), serving.map(|(_, next)| offsets(next)));
        let serving = theirs.as_ref().zip(their.as_ref()).map(|(record, offsets)| Reached { record, offsets });
        caught_up(Reached { record: &ours, offsets: &our }, serving, ends.map(offsets).as_ref())
    }

    #[test]
    fn a_candidate_has_caught_up_when_it_covers_what_answers() {
        assert!(caught(("t", &[5, 7]), Some(("t", &[5, 6])), None));
        assert!(!caught(("t", &[5, 5]), Some(("t", &[5, 6])), None));
        assert!(!caught(("t", &[5]), Some(("t", &[5, 1])), None), "a partition that it has not begun");
        assert!(caught(("t", &[5, 1]), Some(("t", &[5])), None), "a partition that only it has");
    }

    #[test]
    fn offsets_of_another_topic_say_nothing() {
        assert!(!caught(("new", &[9]), Some(("old", &[1])), None), "nobody knows the log's ends");
        assert!(!caught(("new", &[9]), Some(("old", &[1])), Some(&[10])));
        assert!(caught(("new", &[9]), Some(("old", &[100])), Some(&[9])));
    }

    #[test]
    fn where_nothing_answers_there_must_be_something_to_answer_with() {
        assert!(!caught(("t", &[]), None, None), "neither a batch view nor a slot");
        assert!(caught(("t", &[0]), None, None));
        let computed = record("t", Some("views/v/1"));
        assert!(caught_up(Reached { record: &computed, offsets: &Offsets::new() }, None, None));
    }

    #[test]
    fn each_step_is_taken_once_and_only_from_where_it_was_decided() {
        let mut catalog = Catalog::default();
        let now = |catalog: &Catalog| catalog.view("v");
        for _ in 0..2 {
            let published = publish(&now(&catalog), &GenerationRecord { promote: false, ..record("t", None) });
            catalog.apply(&published);
        }
        assert_eq!(now(&catalog).generations.keys().copied().collect::<Vec<_>>(), [Generation(1), Generation(2)]);
        let first = promote(&now(&catalog), "v", Generation(1), None).expect("nothing answers yet");
        catalog.apply(&first);
        assert_eq!(promote(&now(&catalog), "v", Generation(2), None), None, "it was compared with nothing");
        let asked = request(&now(&catalog), "v", Generation(2)).expect("it does not answer");
        assert!(request_later(&now(&catalog), "v", Generation(2)).is_some());
        catalog.apply(&asked);
        assert_eq!(request(&now(&catalog), "v", Generation(2)), None, "it waits already");
        assert_eq!(request_later(&now(&catalog), "v", Generation(2)), None);
        assert_eq!(request(&now(&catalog), "v", Generation(1)), None, "it answers");
        let second =
            promote(&now(&catalog), "v", Generation(2), Some(Generation(1))).expect("it was compared with the first");
        catalog.apply(&second);
        assert_eq!(retire(&now(&catalog), "v", Generation(1)), None, "one may go back to it");
        let third = publish(&now(&catalog), &record("t", None));
        catalog.apply(&third);
        let third =
            promote(&now(&catalog), "v", Generation(3), Some(Generation(2))).expect("it was compared with the second");
        catalog.apply(&third);
        let retired = retire(&now(&catalog), "v", Generation(1)).expect("nobody reads it any more");
        catalog.apply(&retired);
        assert_eq!(promote(&now(&catalog), "v", Generation(1), Some(Generation(3))), None, "it is gone");
    }

    #[test]
    fn a_batch_view_is_continued_over_the_same_definition_and_a_longer_archive_of_the_same_identity() {
        let cut = |next| Cut([(Partition(0), CutPoint { next: Offset(next), max_event_time: None })].into());
        let of = GenerationRecord { cut: cut(5), archive: Some("a".into()), ..record("t", Some("views/v/1")) };
        let onto = |fingerprint, next: u64, archive| {
            let cut = cut(next);
            Continuation { fingerprint, cut: &cut, archive }.of(&of).map(str::to_owned)
        };
        assert_eq!(onto("f", 5, "a"), Ok("views/v/1".to_owned()));
        assert_eq!(onto("g", 5, "a"), Err("the view's definition has changed"));
        assert_eq!(onto("f", 4, "a"), Err("the archive ends before its cut"));
        assert_eq!(onto("f", 5, "b"), Err("it was computed from an archive that is gone"));
        let none = GenerationRecord { batch_view: None, ..of.clone() };
        let cut = cut(5);
        assert_eq!(Continuation { fingerprint: "f", cut: &cut, archive: "a" }.of(&none), Err("it has no batch view"));
    }
}
