//! `Explanation`: what the layers decided, as data.

use serde::{Deserialize, Serialize};

/// What the layers decided about a request. `Display` is for people, a line for each decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The method.
    pub method: String,
    /// The URL as it was asked for.
    pub url: String,
    /// Whether a running process was asked, with what it has stored.
    pub live: bool,
    /// Where it arrives.
    pub listener: ListenerChoice,
    /// What became of the connection. All that follows is empty where it is refused.
    pub accepted: Accepted,
    /// Who asks.
    pub client: Option<Client>,
    /// The target, as it came and as everything behind hygiene sees it.
    pub target: Option<Target>,
    /// The route that matched.
    pub route: Option<String>,
    /// What the layers wrote into the record, in order.
    pub decisions: Vec<Decided>,
    /// What inspection found, in the head: nobody knows the content.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// What the cache would do; none where the request does not come to one.
    pub cache: Option<Cache>,
    /// Where it would be sent; none where it is answered before.
    pub upstream: Option<Upstream>,
    /// As what it would be sent.
    pub sent: Option<Sent>,
    /// What is answered.
    pub answer: Option<Answer>,
    /// What a reader should know beside that.
    pub notes: Vec<String>,
}

/// Where a request arrives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerChoice {
    /// Its name.
    pub name: String,
    /// `gateway` or `forward`.
    pub role: String,
    /// Where it listens.
    pub addresses: Vec<String>,
    /// Why it is this one.
    pub reason: String,
}

/// What becomes of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Who connects.
    pub peer: String,
    /// `allow` or `deny`.
    pub verdict: String,
    /// Why, as a token.
    pub reason: String,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its address, as privacy allows.
    pub address: String,
    /// Who says so: `peer`, `proxy_protocol` or the field of a trusted proxy.
    pub source: String,
}

/// The target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// As it came.
    pub received: String,
    /// Its normal form; none where hygiene refused it.
    pub normal: Option<String>,
}

/// One decision of one layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The layer.
    pub layer: String,
    /// `allow`, `deny`, `report` or `modify`.
    pub verdict: String,
    /// Why, as a token.
    pub reason: String,
    /// The id of the rule.
    pub rule: Option<String>,
}

/// A rule of inspection that matched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The id of the rule.
    pub rule: String,
    /// The class of attack.
    pub class: String,
    /// What it scored.
    pub score: u16,
    /// Where it matched: `query`, `cookie`, ...
    pub place: String,
    /// The name of the parameter.
    pub parameter: String,
    /// Why, in a line.
    pub reason: String,
}

/// What the cache would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Whether there is one on this way. Nothing more is said where there is none.
    pub on: bool,
    /// The parts of the key.
    pub key: Option<Key>,
    /// What the store is asked for.
    pub hash: Option<String>,
    /// What is stored there, the newest first.
    pub stored: Vec<Stored>,
    /// `hit`, `stale`, `validate`, `miss`, `bypass` or `only-if-cached`.
    pub look_up: String,
    /// Why, as a token.
    pub reason: String,
    /// What makes the exchange personal.
    pub personal: Option<String>,
    /// Whether the answer could be stored: `allowed`, `shared` (with `public` or `s-maxage` only)
    /// or `never`.
    pub storage: String,
    /// Why not without more, as a token.
    pub storage_reason: Option<String>,
    /// Requests for a key before its response is stored.
    pub min_uses: u32,
}

/// The parts of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Role and route.
    pub space: String,
    /// The scheme.
    pub scheme: String,
    /// The authority.
    pub authority: String,
    /// The target.
    pub target: String,
    /// Fields of the request, and content.
    pub extra: String,
}

/// One stored response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Whether the request selects it.
    pub selected: bool,
    /// Its status.
    pub status: u16,
    /// How old it is, in seconds.
    pub age: u64,
    /// How long it stays fresh, in seconds; negative when it is stale.
    pub ttl: i64,
    /// Where its freshness comes from.
    pub freshness: String,
    /// The fields that it was selected by.
    pub vary: Vec<String>,
    /// Bytes of content.
    pub size: u64,
    /// The words to purge it by.
    pub tags: Vec<String>,
}

/// Where a request would be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// The upstream's name; none where the client chose the destination.
    pub name: Option<String>,
    /// Host and port, or `unix:` and a path; of several endpoints, one that may be chosen.
    pub endpoint: String,
    /// How the endpoint is chosen, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<String>,
    /// The parent proxy through which it is reached, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Which of its servers is asked, and why, where it is several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_choice: Option<String>,
    /// The addresses that may be dialled; empty for a name, for DNS is not asked.
    pub addresses: Vec<String>,
    /// `h1`, `h2` or `tunnel`; `h1 over TLS` and `h2 over TLS` to `https://` endpoints.
    pub protocol: String,
    /// Whose `Host` is sent: `client`, `upstream` or `fixed`.
    pub host: String,
}

/// As what a request would be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
    /// Fields that the client did not send.
    pub added: Vec<(String, String)>,
    /// Fields that it did, and which go no further.
    pub removed: Vec<(String, String)>,
    /// Fields with what they were and what they are.
    pub changed: Vec<(String, String, String)>,
}

/// What is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whose answer it is: `upstream`, `tunnel`, `cache`, `route` or `refusal`.
    pub source: String,
    /// The status; none where upstream decides it.
    pub status: Option<u16>,
    /// The fields; where upstream answers, those that are added to its own.
    pub fields: Vec<(String, String)>,
}
