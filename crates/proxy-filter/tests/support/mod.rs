//! What tests and the report share.

pub(crate) mod benign;
pub(crate) mod cases;
