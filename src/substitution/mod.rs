//! Libraries of substitutions: reading, checking, writing.

mod attributes;
mod canonical;
mod check;
mod expr;
mod finite_field;
pub mod generator;
mod instance;
mod inverse;
mod json;
mod library;
mod proof;
mod propose;
mod prover;
mod random;
mod text;
mod trial;
mod value;

pub use canonical::id_of;
pub use expr::{TextError, condition_text, expr_text, operand_text, parse_condition, parse_expr, parse_operand};
pub use finite_field::{FieldOutcome, FieldTrials, PRIME, try_over_field};
pub use inverse::inverse;
pub use library::{
    FORMAT, FiniteField, GENERATED, Generator, Ids, Library, LibraryError, STARTER, Status, Substitution, UNPROVED,
    VERSION, Verification,
};
pub use proof::{Narrated, Part, Proof, ProofError, Step, check_proof, narrate, smt_lib};
pub use prover::{ProverLimits, Verdict, Witness, prove};
pub use trial::{TrialError, TrialSettings, Trials, try_rule};

#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod tests;
