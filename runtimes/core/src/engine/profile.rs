//! The named sets of WebAssembly proposals that guests may use.

use std::fmt;

use wasmparser::WasmFeatures;

/// A named set of WebAssembly proposals that modules may use. A runtime has one; [`load`] refuses a
/// module that needs more before an engine compiles it.
///
/// What no profile includes: threads, garbage collection, external references, 64-bit or multiple
/// memories. NaNs are canonical in every profile.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{LoadError, ModuleInfo, Profile, Proposal};
///
/// let wasm = wat::parse_str("(module (func $f (return_call $f)))")?;
/// assert!(ModuleInfo::parse_in(&wasm, Profile::Extended).is_ok());
/// let error = ModuleInfo::parse_in(&wasm, Profile::Baseline).expect_err("outside of it");
/// assert!(matches!(
///     error,
///     LoadError::OutsideOfProfile { proposals, .. } if proposals == [Proposal::TailCalls]
/// ));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`load`]: crate::Runtime::load
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// WebAssembly 2.0 with SIMD and extended constants, without external references. Every engine
    /// has it, so every runtime accepts the same modules.
    #[default]
    Baseline,
    /// [`Baseline`](Self::Baseline) with tail calls and exception handling, where the engine has
    /// them: wasmtime has both, exception handling with the feature `exceptions` of
    /// `rangewatch-wasmtime`; wasmi has tail calls. A module that needs what the engine lacks is
    /// refused.
    ///
    /// Exceptions are allocated in a heap of the engine, of at most
    /// [`Limits::memory_bytes`](crate::Limits::memory_bytes). The work of its garbage collector is
    /// not counted as fuel: load guests that nobody trusts in the baseline profile.
    Extended,
}

/// A WebAssembly proposal that is not in [`Profile::Baseline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Proposal {
    /// `return_call` and `return_call_indirect`.
    TailCalls,
    /// Tags, `throw` and `try_table`.
    ExceptionHandling,
    /// `try` and `catch`, as compilers emit them without `-wasm-use-legacy-eh=false`.
    LegacyExceptionHandling,
    /// Atomic instructions and shared memories.
    Threads,
    /// Shared tables, globals and functions.
    SharedEverythingThreads,
    /// `externref` and the other types of references beside functions.
    ExternalReferences,
    /// Structs, arrays and their types.
    GarbageCollection,
    /// `call_ref` and types of functions as types of references.
    FunctionReferences,
    /// 64-bit addresses of memories and tables.
    Memory64,
    /// More than one memory.
    MultipleMemories,
    /// Page sizes other than 64 KiB.
    CustomPageSizes,
    /// `memory.discard`.
    MemoryControl,
    /// Vector instructions whose results depend on the processor.
    RelaxedSimd,
    /// 128-bit integer arithmetic.
    WideArithmetic,
    /// Continuations.
    StackSwitching,
}

impl Profile {
    /// The proposals that it includes beside those of the baseline.
    #[must_use]
    pub const fn proposals(self) -> &'static [Proposal] {
        match self {
            Self::Baseline => &[],
            Self::Extended => &[Proposal::TailCalls, Proposal::ExceptionHandling],
        }
    }

    /// The proposals of the profile that an engine lacks. `validate` gives the engine a small
    /// module, for a backend whose engine was configured by the embedder.
    ///
    /// # Errors
    ///
    /// The error of `validate` if the engine refuses the baseline.
    pub fn lacking<E>(self, validate: impl Fn(&[u8]) -> Result<(), E>) -> Result<Vec<Proposal>, E> {
        validate(BASELINE_MODULE)?;
        Ok(self
            .proposals()
            .iter()
            .copied()
            .filter(|proposal| {
                let module = match proposal {
                    Proposal::TailCalls => TAIL_CALLS_MODULE,
                    Proposal::ExceptionHandling => EXCEPTIONS_MODULE,
                    _ => return true,
                };
                validate(module).is_err()
            })
            .collect())
    }

    pub(crate) fn features(self) -> WasmFeatures {
        let proposals = self.proposals().iter();
        proposals.fold(BASELINE, |features, proposal| features | proposal.feature())
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Baseline => "baseline",
            Self::Extended => "extended",
        })
    }
}

const BASELINE: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::EXTENDED_CONST)
    .difference(WasmFeatures::GC_TYPES);

/// Uses each part of the baseline that an engine can turn off.
///
/// ```text
/// (module
///   (memory 1)
///   (table 1 funcref)
///   (global (export "global") (mut i32) (i32.add (i32.const 1) (i32.const 2)))
///   (func (param f32) (result i32 i32)
///     (memory.copy (i32.const 0) (i32.const 0) (i32.const 0))
///     (i32.extend8_s (i32.trunc_sat_f32_s (local.get 0)))
///     (i32x4.extract_lane 0 (i32x4.splat (i32.const 0))))
///   (func (result funcref) (table.get 0 (i32.const 0))))
/// ```
const BASELINE_MODULE: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x0b\x02\x60\x01\x7d\x02\x7f\x7f\x60\x00\x01\x70\
    \x03\x03\x02\x00\x01\
    \x04\x04\x01\x70\x00\x01\
    \x05\x03\x01\x00\x01\
    \x06\x09\x01\x7f\x01\x41\x01\x41\x02\x6a\x0b\
    \x07\x0a\x01\x06global\x03\x00\
    \x0a\x21\x02\
    \x18\x00\x41\x00\x41\x00\x41\x00\xfc\x0a\x00\x00\
    \x20\x00\xfc\x00\xc0\x41\x00\xfd\x11\xfd\x1b\x00\x0b\
    \x06\x00\x41\x00\x25\x00\x0b";

/// `(module (func $f (return_call $f)))`
const TAIL_CALLS_MODULE: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a\x06\x01\x04\x00\x12\x00\x0b";

/// `(module (tag) (func (block (try_table (catch_all 0)))))`
const EXCEPTIONS_MODULE: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0d\x03\x01\x00\x00\
    \x0a\x0d\x01\x0b\x00\x02\x40\x1f\x40\x01\x02\x00\x0b\x0b\x0b";

impl Proposal {
    /// In the order in which [`needed`] tries to do without them: a proposal comes after those that
    /// include it.
    const ALL: [Self; 15] = [
        Self::StackSwitching,
        Self::SharedEverythingThreads,
        Self::GarbageCollection,
        Self::FunctionReferences,
        Self::ExternalReferences,
        Self::LegacyExceptionHandling,
        Self::ExceptionHandling,
        Self::TailCalls,
        Self::Threads,
        Self::Memory64,
        Self::MultipleMemories,
        Self::CustomPageSizes,
        Self::MemoryControl,
        Self::RelaxedSimd,
        Self::WideArithmetic,
    ];

    pub(crate) const fn feature(self) -> WasmFeatures {
        match self {
            Self::TailCalls => WasmFeatures::TAIL_CALL,
            Self::ExceptionHandling => WasmFeatures::EXCEPTIONS,
            Self::LegacyExceptionHandling => WasmFeatures::LEGACY_EXCEPTIONS,
            Self::Threads => WasmFeatures::THREADS,
            Self::SharedEverythingThreads => WasmFeatures::SHARED_EVERYTHING_THREADS,
            Self::ExternalReferences => WasmFeatures::GC_TYPES,
            Self::GarbageCollection => WasmFeatures::GC,
            Self::FunctionReferences => WasmFeatures::FUNCTION_REFERENCES,
            Self::Memory64 => WasmFeatures::MEMORY64,
            Self::MultipleMemories => WasmFeatures::MULTI_MEMORY,
            Self::CustomPageSizes => WasmFeatures::CUSTOM_PAGE_SIZES,
            Self::MemoryControl => WasmFeatures::MEMORY_CONTROL,
            Self::RelaxedSimd => WasmFeatures::RELAXED_SIMD,
            Self::WideArithmetic => WasmFeatures::WIDE_ARITHMETIC,
            Self::StackSwitching => WasmFeatures::STACK_SWITCHING,
        }
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TailCalls => "tail calls",
            Self::ExceptionHandling => "exception handling",
            Self::LegacyExceptionHandling => "legacy exception handling",
            Self::Threads => "threads",
            Self::SharedEverythingThreads => "shared-everything threads",
            Self::ExternalReferences => "external references",
            Self::GarbageCollection => "garbage collection",
            Self::FunctionReferences => "typed function references",
            Self::Memory64 => "64-bit memory",
            Self::MultipleMemories => "multiple memories",
            Self::CustomPageSizes => "custom page sizes",
            Self::MemoryControl => "memory control",
            Self::RelaxedSimd => "relaxed SIMD",
            Self::WideArithmetic => "wide arithmetic",
            Self::StackSwitching => "stack switching",
        })
    }
}

/// The proposals beside the baseline that a module needs, found by validating it without each,
/// because the messages of the parser do not always name what is missing. `None` if it is invalid
/// with all of them.
pub(crate) fn needed(is_valid: impl Fn(WasmFeatures) -> bool) -> Option<Vec<Proposal>> {
    let all = Proposal::ALL.iter();
    let mut features = all.fold(BASELINE, |all, proposal| all | proposal.feature());
    if !is_valid(features) {
        return None;
    }
    let mut proposals = Vec::new();
    for proposal in Proposal::ALL {
        let without = features - proposal.feature();
        if is_valid(without) {
            features = without;
        } else {
            proposals.push(proposal);
        }
    }
    // To the parser the types of these are one feature with external references.
    let includes = [Proposal::GarbageCollection, Proposal::StackSwitching];
    if includes.iter().any(|proposal| proposals.contains(proposal)) {
        proposals.retain(|proposal| *proposal != Proposal::ExternalReferences);
    }
    Some(proposals)
}

/// Names several proposals in one text.
pub(crate) struct Names<'a>(pub(crate) &'a [Proposal]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, proposal) in self.0.iter().enumerate() {
            match index {
                0 => {}
                _ if index + 1 == self.0.len() => f.write_str(" and ")?,
                _ => f.write_str(", ")?,
            }
            write!(f, "{proposal}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::Validator;

    use super::*;

    fn validate(wasm: &[u8], features: WasmFeatures) -> Result<(), String> {
        let validated = Validator::new_with_features(features).validate_all(wasm);
        validated.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn the_module_of_the_baseline_needs_each_part_of_it() {
        assert_eq!(validate(BASELINE_MODULE, BASELINE), Ok(()));
        // Without bulk memory there is no `memory.copy`, and so on. Floats and mutable globals no
        // engine of ours can turn off by accident.
        for (name, feature) in BASELINE.iter_names() {
            let without = BASELINE - feature;
            assert!(validate(BASELINE_MODULE, without).is_err(), "{name}");
        }
    }

    #[test]
    fn the_module_of_a_proposal_needs_it_alone() {
        for (proposal, module) in [
            (Proposal::TailCalls, TAIL_CALLS_MODULE),
            (Proposal::ExceptionHandling, EXCEPTIONS_MODULE),
        ] {
            let needed = needed(|features| validate(module, features).is_ok());
            assert_eq!(needed, Some(vec![proposal]));
        }
    }

    #[test]
    fn an_engine_lacks_what_it_does_not_validate() {
        let engine = |features: WasmFeatures| move |wasm: &[u8]| validate(wasm, features);
        let lacking = |profile: Profile, features| profile.lacking(engine(features));
        assert_eq!(lacking(Profile::Baseline, BASELINE), Ok(vec![]));
        assert_eq!(
            lacking(Profile::Extended, Profile::Extended.features()),
            Ok(vec![])
        );
        assert_eq!(
            lacking(Profile::Extended, BASELINE | WasmFeatures::TAIL_CALL),
            Ok(vec![Proposal::ExceptionHandling])
        );
        lacking(Profile::Baseline, BASELINE - WasmFeatures::SIMD).expect_err("no SIMD");
    }

    #[test]
    fn proposals_are_named_in_one_text() {
        let names = |proposals: &[Proposal]| Names(proposals).to_string();
        assert_eq!(names(&[Proposal::TailCalls]), "tail calls");
        assert_eq!(
            names(&[Proposal::TailCalls, Proposal::Threads, Proposal::Memory64]),
            "tail calls, threads and 64-bit memory"
        );
    }
}
