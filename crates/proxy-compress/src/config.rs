//! What an embedder or a configuration chooses.

use std::sync::Arc;

use crate::codings::{Coding, Levels};
use crate::eligibility::{Eligibility, Rules};

/// How responses are coded.
#[derive(Clone)]
pub struct CompressConfig {
    /// The codings that are made, the preferred one first: it is taken where a client likes several
    /// equally well. Default: zstd, br, gzip.
    pub codings: Vec<Coding>,
    /// Levels for what a client waits for, at most [`Levels::MOST_ON_THE_FLY`]: zstd 9, br 6, gzip
    /// 9. Default: zstd 3, br 3, gzip 4. Content of more than 8
    /// MiB, of unknown length, or that comes as a stream of events gets at most zstd 1, br 3,
    /// gzip 3.
    pub levels: Levels,
    /// Which responses are coded. Default: [`Rules`].
    pub eligibility: Arc<dyn Eligibility>,
    /// Ask the service inside for coded forms of its own, in a few words: `Accept-Encoding` names
    /// those of the codings that the client takes, the best one first, and nothing else. A cache
    /// inside then has a handful of variants instead of one for each way to write the field.
    /// Default: false, the field passes as it came.
    pub from_inside: bool,
    /// What a client gets that takes none of what there is. Default: the content as it is.
    pub unacceptable: Unacceptable,
}

/// What a client gets that refuses the content as it is (`identity;q=0`) and takes no coding that
/// is made here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unacceptable {
    /// The content as it is all the same, which RFC 9110 section 12.5.3 leaves open.
    #[default]
    Identity,
    /// 406 to GET and HEAD, before anything is asked for. A coding that only the origin server
    /// could have made counts for nothing.
    Refuse,
}

impl Default for CompressConfig {
    fn default() -> Self {
        Self {
            codings: Coding::ALL.to_vec(),
            levels: Levels::ON_THE_FLY,
            eligibility: Arc::new(Rules::default()),
            from_inside: false,
            unacceptable: Unacceptable::default(),
        }
    }
}

impl std::fmt::Debug for CompressConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompressConfig")
            .field("codings", &self.codings)
            .field("levels", &self.levels)
            .field("unacceptable", &self.unacceptable)
            .finish_non_exhaustive()
    }
}
