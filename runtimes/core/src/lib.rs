//! The seam between rangewatch and WebAssembly engines: guest ABI, guest host, conformance suite.
