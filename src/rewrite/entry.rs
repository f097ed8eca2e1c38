//! What the index holds for one node: the candidates anchored there, rule by rule, with what each rests on.

use std::sync::Arc;

use smallvec::SmallVec;

use super::index::Candidate;
use super::reads::{Read, Trace};

/// The searches at one node that looked further than the node itself or found something, in the order of the rules.
/// (Any other search ends the same way as long as the node keeps its operands.)
#[derive(Debug, Default)]
pub(super) struct Entry {
    searches: SmallVec<[Search; 6]>,
    candidates: SmallVec<[Kept; 2]>,
    /// For each search what it read, then for each of its candidates what its patch rests on.
    reads: Vec<Read>,
}

#[derive(Clone, Copy, Debug)]
struct Search {
    rule: u32,
    reads: u32,
    candidates: u32,
    /// Whether some matches were dropped that do the same as another.
    doubles: bool,
}

/// A candidate and how much of the entry's reads is its patch's: first that of building it, then that of its dead nodes.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub candidate: Arc<Candidate>,
    pub build_reads: u32,
    pub death_reads: u32,
}

/// One rule's part of an entry.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub rule: u32,
    search: Search,
    pub candidates: &'a [Kept],
    /// Everything read, for the candidates' patches too.
    pub reads: &'a [Read],
}

impl<'a> Part<'a> {
    /// What the search itself read.
    pub fn search_reads(&self) -> &'a [Read] {
        &self.reads[..self.search.reads as usize]
    }

    /// Whether some matches were dropped that do the same as another.
    pub fn has_doubles(&self) -> bool {
        self.search.doubles
    }

    /// The candidates, each with what building its patch read, and what telling its dead nodes read.
    pub fn patches(&self) -> impl Iterator<Item = (&'a Kept, &'a [Read], &'a [Read])> + use<'a> {
        let mut rest = &self.reads[self.search.reads as usize..];
        self.candidates.iter().map(move |kept| {
            let (build, after) = rest.split_at(kept.build_reads as usize);
            let (deaths, after) = after.split_at(kept.death_reads as usize);
            rest = after;
            (kept, build, deaths)
        })
    }
}

impl Entry {
    pub fn candidates(&self) -> impl Iterator<Item = &Arc<Candidate>> {
        self.candidates.iter().map(|kept| &kept.candidate)
    }

    pub fn reads(&self) -> &[Read] {
        &self.reads
    }

    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let (mut candidates, mut reads) = (&self.candidates[..], &self.reads[..]);
        self.searches.iter().map(move |search| {
            let (own, rest) = candidates.split_at(search.candidates as usize);
            let length = search.reads + own.iter().map(|kept| kept.build_reads + kept.death_reads).sum::<u32>();
            let (read, after) = reads.split_at(length as usize);
            (candidates, reads) = (rest, after);
            Part { rule: search.rule, search: *search, candidates: own, reads: read }
        })
    }

    /// Adds what another entry has of a rule.
    pub fn copy(&mut self, part: Part<'_>) {
        self.searches.push(part.search);
        self.candidates.extend(part.candidates.iter().cloned());
        self.reads.extend_from_slice(part.reads);
    }

    /// Adds what a search found and read, and what the patches of its candidates rest on.
    pub fn push(&mut self, rule: u32, outcome: &mut Outcome) {
        let (reads, found) = (outcome.search.as_slice(), &mut outcome.found);
        if reads.is_empty() && found.is_empty() {
            return;
        }
        let (read, candidates) = (reads.len() as u32, found.len() as u32);
        self.searches.push(Search { rule, reads: read, candidates, doubles: outcome.doubles });
        self.candidates.extend(found.drain(..));
        self.reads.extend_from_slice(reads);
        self.reads.extend_from_slice(&outcome.patches);
    }
}

/// What the search for one rule comes to.
#[derive(Default)]
pub(super) struct Outcome {
    pub search: Trace,
    pub found: Vec<Kept>,
    pub patches: Vec<Read>,
    pub doubles: bool,
}

impl Outcome {
    pub fn clear(&mut self) {
        self.search.clear();
        self.found.clear();
        self.patches.clear();
        self.doubles = false;
    }

    /// Keeps a candidate.
    pub fn keep(&mut self, candidate: Arc<Candidate>, build: &[Read], deaths: &[Read]) {
        self.found.push(Kept { candidate, build_reads: build.len() as u32, death_reads: deaths.len() as u32 });
        self.patches.extend_from_slice(build);
        self.patches.extend_from_slice(deaths);
    }

    /// Notes that a match was not kept. It may be once these change.
    pub fn drop(&mut self, reads: &[Read]) {
        reads.iter().for_each(|read| self.search.add(*read));
    }
}
