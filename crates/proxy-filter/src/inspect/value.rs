//! Values of a request, and where they stood.

use serde::Deserialize;

/// Where a value stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Place {
    /// The method.
    Method,
    /// The path of the target.
    Path,
    /// A parameter of the query.
    Query,
    /// A cookie.
    Cookie,
    /// A field.
    Field,
    /// The `User-Agent` field.
    Agent,
    /// The `Referer` field.
    Referer,
    /// The content's type.
    ContentType,
    /// A parameter of a form.
    Form,
    /// A part of a multipart form that is no file.
    Part,
    /// A field of a part.
    PartField,
    /// The name of a file that is sent.
    FileName,
    /// The beginning of a file that is sent.
    File,
    /// A string, number or name in JSON.
    Json,
    /// A text or attribute in XML.
    Xml,
    /// Plain text.
    Text,
    /// The request as a whole.
    Request,
    /// The content of a response.
    Response,
}

impl Place {
    /// All places.
    pub const ALL: [Self; 18] = [
        Self::Method,
        Self::Path,
        Self::Query,
        Self::Cookie,
        Self::Field,
        Self::Agent,
        Self::Referer,
        Self::ContentType,
        Self::Form,
        Self::Part,
        Self::PartField,
        Self::FileName,
        Self::File,
        Self::Json,
        Self::Xml,
        Self::Text,
        Self::Request,
        Self::Response,
    ];

    /// The word in reports.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Path => "path",
            Self::Query => "query",
            Self::Cookie => "cookie",
            Self::Field => "field",
            Self::Agent => "agent",
            Self::Referer => "referer",
            Self::ContentType => "content-type",
            Self::Form => "form",
            Self::Part => "part",
            Self::PartField => "part-field",
            Self::FileName => "file-name",
            Self::File => "file",
            Self::Json => "json",
            Self::Xml => "xml",
            Self::Text => "text",
            Self::Request => "request",
            Self::Response => "response",
        }
    }

    /// Whether readers of grammars look at values that stand here.
    pub(super) const fn is_read(self) -> bool {
        !matches!(
            self,
            Self::Method
                | Self::ContentType
                | Self::PartField
                | Self::File
                | Self::Request
                | Self::Response
        )
    }
}

/// A set of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places(u32);

impl Places {
    /// No place.
    pub const NONE: Self = Self(0);

    /// The places where values of parameters stand: what a rule is about that names none.
    pub const VALUES: Self = Self(
        1 << Place::Path as u32
            | 1 << Place::Query as u32
            | 1 << Place::Cookie as u32
            | 1 << Place::Field as u32
            | 1 << Place::Agent as u32
            | 1 << Place::Referer as u32
            | 1 << Place::Form as u32
            | 1 << Place::Part as u32
            | 1 << Place::FileName as u32
            | 1 << Place::Json as u32
            | 1 << Place::Xml as u32
            | 1 << Place::Text as u32,
    );

    /// With one more place.
    #[must_use]
    pub const fn with(self, place: Place) -> Self {
        Self(self.0 | 1 << place as u32)
    }

    /// Whether a place is in the set.
    pub const fn has(self, place: Place) -> bool {
        self.0 & 1 << place as u32 != 0
    }
}

impl FromIterator<Place> for Places {
    fn from_iter<I: IntoIterator<Item = Place>>(places: I) -> Self {
        places.into_iter().fold(Self::NONE, Self::with)
    }
}

/// One value: a name and what it holds, both without their transport coding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    pub(super) place: Place,
    /// The name of the parameter, field, cookie or member; empty where there is none.
    pub(super) name: &'a [u8],
    pub(super) bytes: &'a [u8],
    /// Whether this is the name itself.
    pub(super) is_name: bool,
}
