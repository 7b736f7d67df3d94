//! The seam between this crate and a WebAssembly engine.

pub(crate) mod bounds;
pub(crate) mod build_error;
pub(crate) mod error_chain;
pub(crate) mod exports;
pub(crate) mod failure;
pub(crate) mod fuel_slices;
pub(crate) mod host_cx;
pub(crate) mod host_function;
pub(crate) mod host_module;
pub(crate) mod imports;
pub(crate) mod load_error;
pub(crate) mod meta_page;
pub(crate) mod module;
pub(crate) mod profile;
pub(crate) mod runtime;
pub(crate) mod shown;
pub(crate) mod typed_values;
pub(crate) mod val;
