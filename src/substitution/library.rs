//! Libraries of substitutions in memory and as `graphopt-substitutions` files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::canonical::id_of;
use super::check::check;
use super::json::{Fault, Fields, Strict, layout, text};
use super::proof::{Proof, ProofError, check_proof};
use super::prover::{ProverLimits, Verdict, prove};
use super::text::{rule_from_fields, rule_to_fields};
use crate::formats::{check_json_size, map_file};
use crate::rewrite::Rule;

/// The `format` of library files.
pub const FORMAT: &str = "graphopt-substitutions";
/// The `version` of library files.
pub const VERSION: u64 = 1;
/// Larger files are refused before they are read.
const MAX_BYTES: u64 = 256 << 20;

/// Hand-written rules with proofs: (file name, content).
pub const STARTER: &[(&str, &str)] = &[
    ("algebra.json", include_str!("../../substitutions/algebra.json")),
    ("layout.json", include_str!("../../substitutions/layout.json")),
    ("affine.json", include_str!("../../substitutions/affine.json")),
    ("convolution.json", include_str!("../../substitutions/convolution.json")),
    ("matmul.json", include_str!("../../substitutions/matmul.json")),
    ("merging.json", include_str!("../../substitutions/merging.json")),
    ("recurrence.json", include_str!("../../substitutions/recurrence.json")),
];

/// Rules found by machine, with proofs: (file name, content).
pub const GENERATED: (&str, &str) = ("default.json", include_str!("../../substitutions/default.json"));

/// Hand-written rules that pass every test and for which no proof was found: (file name, content).
pub const UNPROVED: (&str, &str) = ("unproved.json", include_str!("../../substitutions/unproved.json"));

/// A library of substitutions.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Library {
    /// How it was generated; `None` if it was written by hand.
    pub generator: Option<Generator>,
    /// Its substitutions; names and ids are unique.
    pub substitutions: Vec<Substitution>,
}

/// A rule with where it comes from and why it is believed.
#[derive(Clone, Debug, PartialEq)]
pub struct Substitution {
    /// First 16 hex digits of the BLAKE3 hash of the canonical form: the same whatever the names.
    pub id: String,
    /// The rule.
    pub rule: Rule,
    /// Ids of the rules that it was derived from.
    pub derived_from: Vec<String>,
    /// Why it is believed.
    pub verification: Verification,
}

/// How a generated library came about.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Generator {
    /// Named settings.
    pub preset: String,
    /// Operator instances that graphs were made of.
    pub operators: Vec<String>,
    /// Most operators in a graph.
    pub max_ops: u64,
    /// Seed of the fingerprints.
    pub seed: u64,
    /// Graphs enumerated.
    pub enumerated: u64,
    /// Pairs of graphs with equal fingerprints.
    pub candidates: u64,
    /// Candidates dropped, by reason (`renaming`, `common_subgraph`, `derived`).
    pub pruned: BTreeMap<String, u64>,
}

/// Why a substitution is believed.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// How far it is checked.
    pub status: Status,
    /// Random evaluation modulo a prime, if done.
    pub finite_field: Option<FiniteField>,
    /// Axiom applications that turn the source into the target, as [`super::Proof::to_lines`] writes them; empty where
    /// there is no proof.
    pub proof: Vec<String>,
    /// Why there is no proof, where one was looked for and not found.
    pub reason: Option<String>,
}

impl Verification {
    /// That of a rule with a proof.
    pub fn proved(proof: &Proof) -> Verification {
        Verification { status: Status::Proved, finite_field: None, proof: proof.to_lines(), reason: None }
    }

    /// That of a rule that passes its tests, for which no proof was found for this reason.
    pub fn tested(reason: String) -> Verification {
        Verification { status: Status::Tested, finite_field: None, proof: Vec::new(), reason: Some(reason) }
    }
}

/// How far a substitution is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Proved from the axioms.
    Proved,
    /// Tested numerically.
    Tested,
}

/// Random evaluation modulo a prime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiniteField {
    /// The prime.
    pub prime: u64,
    /// Evaluations.
    pub trials: u64,
    /// Different shapes among them.
    pub shapes: u64,
}

/// A library that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Io {
        /// File.
        file: String,
        /// Reason.
        source: std::io::Error,
    },
    /// The file is too large.
    #[error("{file}: {bytes} bytes; a library has at most {MAX_BYTES}")]
    TooLarge {
        /// File.
        file: String,
        /// Its size.
        bytes: u64,
    },
    /// The text is no JSON.
    #[error("{file}: {problem}")]
    Json {
        /// File.
        file: String,
        /// What is wrong, with line and column.
        problem: String,
    },
    /// A field outside the rules is wrong.
    #[error("{file}: {}{problem}", place(path))]
    Field {
        /// File.
        file: String,
        /// Path of the field.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// A rule is wrong.
    #[error("{file}: rule {rule}: {}{problem}", place(path))]
    Rule {
        /// File.
        file: String,
        /// Name of the rule, or its position if it has none.
        rule: String,
        /// Path of the field within the rule.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The proof of a rule does not prove it.
    #[error("{file}: rule {rule}: verification.proof: {error}")]
    Proof {
        /// File.
        file: String,
        /// Name of the rule.
        rule: String,
        /// What is wrong.
        error: ProofError,
    },
}

fn place(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

/// What the reader does about ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ids {
    /// Each rule states its id, and it is the right one.
    Checked,
    /// Ids are computed; what the file says of them is ignored. For rules that are being written by hand.
    Computed,
}

impl Library {
    /// The hand-written rules with a proof.
    ///
    /// # Errors
    /// None as shipped (a test reads it).
    pub fn starter() -> Result<Library, LibraryError> {
        Library::of_files(STARTER)
    }

    /// The rules that are used unless others are asked for: hand-written and found by machine, all with a proof.
    ///
    /// # Errors
    /// None as shipped (a test reads it).
    pub fn built_in() -> Result<Library, LibraryError> {
        let files: Vec<_> = STARTER.iter().chain([&GENERATED]).copied().collect();
        Ok(Library { generator: None, ..Library::of_files(&files)? })
    }

    /// The hand-written rules without a proof, each with the reason.
    ///
    /// # Errors
    /// None as shipped (a test reads it).
    pub fn unproved() -> Result<Library, LibraryError> {
        Library::of_files(&[UNPROVED])
    }

    fn of_files(files: &[(&str, &str)]) -> Result<Library, LibraryError> {
        let parts = files.par_iter().map(|(file, text)| Library::parse(file, text.as_bytes(), Ids::Checked));
        Library::join(parts.collect::<Result<Vec<_>, _>>()?)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, or is no library of rules that can be used; the message names file, rule and field.
    pub fn load(path: &Path) -> Result<Library, LibraryError> {
        let file = path.display().to_string();
        let io = |source| LibraryError::Io { file: file.clone(), source };
        let bytes = std::fs::metadata(path).map_err(io)?.len();
        if bytes > MAX_BYTES {
            return Err(LibraryError::TooLarge { file, bytes });
        }
        // A map, since it refuses pipes and devices, which could keep the program waiting.
        Library::parse(&file, &map_file(path).map_err(io)?, Ids::Checked)
    }

    /// Reads the text of a file; `file` is its name in messages.
    ///
    /// # Errors
    /// As [`Library::load`].
    pub fn parse(file: &str, text: &[u8], ids: Ids) -> Result<Library, LibraryError> {
        let json = |problem: String| LibraryError::Json { file: file.to_owned(), problem };
        check_json_size(text).map_err(|p| json(p.to_string()))?;
        let Strict(value) = serde_json::from_slice(text).map_err(|e| json(format!("not valid JSON: {e}")))?;
        let field =
            |fault: Fault| LibraryError::Field { file: file.to_owned(), path: fault.path, problem: fault.problem };
        let mut fields = Fields::of(value, "").map_err(field)?;
        read_header(&mut fields).map_err(field)?;
        let generator = fields.optional("generator").map(read_generator).transpose().map_err(field)?;
        let rules = fields.list("substitutions").map_err(field)?;
        fields.finish().map_err(field)?;
        let read = |(index, rule): (usize, Value)| {
            let label = match rule.get("name").and_then(Value::as_str) {
                Some(name) => format!("{name:?}"),
                None => format!("number {index}"),
            };
            (read_substitution(rule, ids), label)
        };
        let read: Vec<_> = rules.into_par_iter().enumerate().map(read).collect();
        let mut library = Library { generator, substitutions: Vec::with_capacity(read.len()) };
        let mut taken = Taken::default();
        for (substitution, label) in read {
            let admitted = substitution.and_then(|s| taken.admit(s));
            library.substitutions.push(admitted.map_err(|fault| rule_error(file, label, fault))?);
        }
        let wrong = |s: &Substitution| Some((s.rule.name.clone(), check_claim(s).err()?));
        match library.substitutions.par_iter().find_map_first(wrong) {
            Some((rule, error)) => Err(LibraryError::Proof { file: file.to_owned(), rule: format!("{rule:?}"), error }),
            None => Ok(library),
        }
    }

    /// One library of several. How they were generated is kept if only one says so.
    ///
    /// # Errors
    /// Two rules have the same name, or are the same.
    pub fn join(parts: Vec<Library>) -> Result<Library, LibraryError> {
        let mut all = Library::default();
        let mut taken = Taken::default();
        let mut generators: Vec<Generator> = Vec::new();
        for part in parts {
            generators.extend(part.generator);
            for substitution in part.substitutions {
                let label = format!("{:?}", substitution.rule.name);
                let admitted = taken.admit(substitution).map_err(|fault| rule_error("library", label, fault))?;
                all.substitutions.push(admitted);
            }
        }
        all.generator = if generators.len() == 1 { generators.pop() } else { None };
        Ok(all)
    }

    /// The text of a file that reads as this library.
    pub fn to_text(&self) -> String {
        let mut file = serde_json::Map::new();
        file.insert("format".into(), FORMAT.into());
        file.insert("version".into(), VERSION.into());
        if let Some(g) = &self.generator {
            file.insert(
                "generator".into(),
                json!({
                    "preset": g.preset, "operators": g.operators, "max_ops": g.max_ops, "seed": g.seed,
                    "enumerated": g.enumerated, "candidates": g.candidates, "pruned": g.pruned,
                }),
            );
        }
        file.insert("substitutions".into(), self.substitutions.iter().map(write_substitution).collect());
        layout(&Value::Object(file))
    }

    /// Tries to prove every rule; those that are get their proof, the others keep what they had. Why the others are not
    /// proved, by name.
    pub fn prove(&mut self, limits: &ProverLimits) -> Vec<(String, Verdict)> {
        let verdicts: Vec<Verdict> = self.substitutions.par_iter().map(|s| prove(&s.rule, limits)).collect();
        let mut others = Vec::new();
        for (substitution, verdict) in self.substitutions.iter_mut().zip(verdicts) {
            match verdict {
                Verdict::Proved(proof) => {
                    let finite_field = substitution.verification.finite_field;
                    substitution.verification = Verification { finite_field, ..Verification::proved(&proof) };
                }
                other => others.push((substitution.rule.name.clone(), other)),
            }
        }
        others
    }

    /// The rules that a search applies: those that follow from others add matches and no results.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.substitutions.iter().filter(|s| s.derived_from.is_empty()).map(|s| &s.rule)
    }

    /// The rules with a proof, and how many there were without.
    pub fn proved_only(mut self) -> (Library, usize) {
        let all = self.substitutions.len();
        self.substitutions.retain(|s| s.verification.status == Status::Proved);
        let without = all - self.substitutions.len();
        (self, without)
    }

    /// Takes in the rules of another library; one whose name or id is taken is put in the place of the first of those.
    pub fn adopt(&mut self, other: Library) {
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for (at, s) in self.substitutions.iter().enumerate() {
            places.insert(s.id.clone(), at);
            places.insert(s.rule.name.clone(), at);
        }
        let mut gone = Vec::new();
        for substitution in other.substitutions {
            let place = |key: &String| places.get(key).copied();
            let mut at = [place(&substitution.id), place(&substitution.rule.name)];
            at.sort_unstable();
            match at {
                [first, Some(last)] => {
                    let kept = first.unwrap_or(last);
                    gone.extend((kept != last).then_some(last));
                    self.substitutions[kept] = substitution;
                }
                [_, None] => self.substitutions.push(substitution),
            }
        }
        let mut at = 0..;
        self.substitutions.retain(|_| at.next().is_none_or(|at| !gone.contains(&at)));
    }

    /// The substitution whose rule has this name.
    pub fn find(&self, name: &str) -> Option<&Substitution> {
        self.substitutions.iter().find(|s| s.rule.name == name)
    }
}

/// Names and ids of rules that a library has, by each the name.
#[derive(Default)]
struct Taken {
    names: HashSet<String>,
    ids: HashMap<String, String>,
}

impl Taken {
    /// Whether a substitution may join: its name and id must be new.
    fn admit(&mut self, substitution: Substitution) -> Result<Substitution, Fault> {
        let name = &substitution.rule.name;
        if !self.names.insert(name.clone()) {
            return Err(Fault::new("name", "another rule has this name"));
        }
        match self.ids.insert(substitution.id.clone(), name.clone()) {
            Some(other) => Err(Fault::new("", format!("this is rule {other:?} under another name"))),
            None => Ok(substitution),
        }
    }
}

fn rule_error(file: &str, rule: String, fault: Fault) -> LibraryError {
    LibraryError::Rule { file: file.to_owned(), rule, path: fault.path, problem: fault.problem }
}

fn read_header(fields: &mut Fields) -> Result<(), Fault> {
    let format = fields.text("format")?;
    if format != FORMAT {
        return Err(Fault::new("format", format!("expected {FORMAT:?}, found {format:?}")));
    }
    let version = fields.required("version")?;
    if version.as_u64() != Some(VERSION) {
        return Err(Fault::new("version", format!("version {version} is unknown; this program reads {VERSION}")));
    }
    Ok(())
}

fn read_generator(value: Value) -> Result<Generator, Fault> {
    let mut fields = Fields::of(value, "generator")?;
    let mut generator = Generator {
        preset: fields.text("preset")?,
        operators: fields.texts_or_empty("operators")?,
        max_ops: fields.natural_or_zero("max_ops")?,
        seed: fields.natural_or_zero("seed")?,
        enumerated: fields.natural_or_zero("enumerated")?,
        candidates: fields.natural_or_zero("candidates")?,
        pruned: BTreeMap::new(),
    };
    for (reason, count) in fields.entries_or_empty("pruned")? {
        let path = format!("generator.pruned.{reason}");
        let count = count.as_u64().ok_or_else(|| Fault::new(path, "expected a natural number"))?;
        generator.pruned.insert(reason, count);
    }
    fields.finish()?;
    Ok(generator)
}

fn read_substitution(value: Value, ids: Ids) -> Result<Substitution, Fault> {
    let mut fields = Fields::of(value, "")?;
    let stated = match ids {
        Ids::Checked => Some(fields.text("id")?),
        Ids::Computed => {
            fields.optional("id");
            None
        }
    };
    let rule = rule_from_fields(&mut fields)?;
    let derived_from = fields.texts_or_empty("derived_from")?;
    let verification = read_verification(&mut fields)?;
    fields.finish()?;
    check(&rule)?;
    let id = id_of(&rule);
    if let Some(stated) = stated
        && stated != id
    {
        return Err(Fault::new("id", format!("{stated:?} is not the id of this rule, which is {id:?}")));
    }
    Ok(Substitution { id, rule, derived_from, verification })
}

/// A rule that says it is proved has a proof that the checker accepts.
fn check_claim(substitution: &Substitution) -> Result<(), ProofError> {
    match substitution.verification.status {
        Status::Proved => check_proof(&substitution.rule, &Proof::from_lines(&substitution.verification.proof)?),
        Status::Tested => Ok(()),
    }
}

fn read_verification(fields: &mut Fields) -> Result<Verification, Fault> {
    let mut fields = Fields::of(fields.required("verification")?, "verification")?;
    let status = match fields.text("status")?.as_str() {
        "proved" => Status::Proved,
        "tested" => Status::Tested,
        other => {
            let problem = format!("expected \"proved\" or \"tested\", found {other:?}");
            return Err(Fault::new("verification.status", problem));
        }
    };
    let finite_field = match fields.optional("finite_field") {
        None => None,
        Some(value) => {
            let mut fields = Fields::of(value, "verification.finite_field")?;
            let field = FiniteField {
                prime: fields.natural_or_zero("prime")?,
                trials: fields.natural_or_zero("trials")?,
                shapes: fields.natural_or_zero("shapes")?,
            };
            fields.finish()?;
            Some(field)
        }
    };
    let proof = fields.texts_or_empty("proof")?;
    let reason = fields.optional("reason").map(|value| text(value, "verification.reason")).transpose()?;
    fields.finish()?;
    if status == Status::Proved && proof.is_empty() {
        return Err(Fault::new("verification.proof", "a rule that is proved has a proof"));
    }
    if status == Status::Proved && reason.is_some() {
        return Err(Fault::new("verification.reason", "a rule that is proved has no reason why it is not"));
    }
    Ok(Verification { status, finite_field, proof, reason })
}

fn write_substitution(substitution: &Substitution) -> Value {
    let mut fields = serde_json::Map::new();
    fields.insert("id".into(), substitution.id.clone().into());
    rule_to_fields(&substitution.rule, &mut fields);
    if !substitution.derived_from.is_empty() {
        fields.insert("derived_from".into(), substitution.derived_from.clone().into());
    }
    let mut verification = serde_json::Map::new();
    let status = match substitution.verification.status {
        Status::Proved => "proved",
        Status::Tested => "tested",
    };
    verification.insert("status".into(), status.into());
    if let Some(f) = &substitution.verification.finite_field {
        let field = json!({"prime": f.prime, "trials": f.trials, "shapes": f.shapes});
        verification.insert("finite_field".into(), field);
    }
    if !substitution.verification.proof.is_empty() {
        verification.insert("proof".into(), substitution.verification.proof.clone().into());
    }
    if let Some(reason) = &substitution.verification.reason {
        verification.insert("reason".into(), reason.clone().into());
    }
    fields.insert("verification".into(), Value::Object(verification));
    Value::Object(fields)
}
