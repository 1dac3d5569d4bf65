//! Rules as text, before they are compiled. A default value of a condition says nothing: every
//! request meets it.

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSpec {
    /// Its id in record, log and pages: 1 to 64 of `A-Z a-z 0-9 . _ -`. No two rules share one.
    pub id: String,
    /// What a request must be.
    pub matches: MatchSpec,
    /// What is done with it.
    pub action: ActionSpec,
    /// Whether it is done, or only written down.
    pub mode: Mode,
}

/// Whether a rule does what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It only writes into the record what it would have done.
    Report,
}

/// What a rule does with a request that matches.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ActionSpec {
    /// Ends the rules. What stands behind them is still asked.
    Allow,
    /// Refuses it.
    Deny {
        /// 400 to 599. Default: 403.
        status: u16,
        /// A sentence for the page, at most 500 characters.
        page: Option<String>,
    },
    /// Sends the client elsewhere.
    Redirect {
        /// A path that begins with one `/`, or an absolute `http` or `https` URL. Fixed: nothing of
        /// the request enters it.
        to: String,
        /// 301, 302, 303, 307 or 308.
        status: u16,
    },
    /// Puts a word on it: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    Tag(String),
    /// Gives a field this one value.
    SetField {
        /// The name; not one that frames, routes or belongs to one connection.
        name: String,
        /// The value; fixed.
        value: String,
    },
    /// Counts it against the limit of this name.
    RateLimit(String),
}

/// What a request must be. Each kind that is given must hold; of a list, one is enough. The three
/// kinds for the path are one kind together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatchSpec {
    /// Patterns of [`proxy_core::names`].
    pub hosts: Vec<String>,
    /// Whole paths, byte for byte.
    pub paths: Vec<String>,
    /// Prefixes of whole segments.
    pub path_prefixes: Vec<String>,
    /// A regular expression that the whole path matches.
    pub path_regex: Option<String>,
    /// Methods, exactly.
    pub methods: Vec<String>,
    /// `http` and `https`.
    pub schemes: Vec<String>,
    /// Fields of the request; all must hold.
    pub fields: Vec<(String, FieldTest)>,
    /// Query parameters; all must hold.
    pub query: Vec<(String, FieldTest)>,
    /// Ports of the target: `443` or `8000-8099`.
    pub ports: Vec<String>,
    /// Names of listeners.
    pub listeners: Vec<String>,
    /// Networks or addresses of clients.
    pub clients: Vec<String>,
    /// Verified users; `*` is any of them.
    pub users: Vec<String>,
    /// Certificates of clients: a name or the subject in them, or `sha256:` and the fingerprint; `*`
    /// is any that was verified.
    pub client_certificates: Vec<String>,
    /// Names of routes.
    pub routes: Vec<String>,
    /// Words that rules before this one put on the request.
    pub tags: Vec<String>,
    /// Windows of time, see [`TimeWindow`](crate::policies::TimeWindow).
    pub times: Vec<String>,
}

/// What a field or a query parameter must be. Of several values, one is enough.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldTest {
    /// Exactly this value.
    Exact(String),
    /// A regular expression that the whole value matches.
    Regex(String),
    /// `true`: there; `false`: not there.
    Present(bool),
}
