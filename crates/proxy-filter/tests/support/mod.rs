//! What tests and the report share.

#![allow(dead_code, reason = "each of them uses a part")]

pub(crate) mod benign;
pub(crate) mod cases;
