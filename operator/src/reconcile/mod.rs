//! The pipeline.
pub mod build;
