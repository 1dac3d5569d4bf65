//! Names of tags and events of HTML.

/// What a tag does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// `script`.
    Script,
    /// It loads or runs something.
    Active,
    /// Its content is no markup, so its end tag leaves it.
    Raw,
    /// What users write rarely has it.
    Unusual,
}

/// What a tag does, by its name.
pub(super) fn tag(name: &[u8]) -> Option<Tag> {
    if name.len() > 16 {
        return None;
    }
    let mut lower = [0u8; 16];
    for (to, b) in lower.iter_mut().zip(name) {
        *to = b.to_ascii_lowercase();
    }
    Some(match &lower[..name.len()] {
        b"script" => Tag::Script,
        b"iframe" | b"frame" | b"frameset" | b"object" | b"embed" | b"applet" | b"base"
        | b"bgsound" | b"layer" | b"ilayer" | b"isindex" | b"portal" | b"vmlframe"
        | b"foreignobject" | b"animate" | b"animatemotion" | b"animation" | b"listener"
        | b"handler" | b"xss" | b"marquee" | b"keygen" | b"animatetransform" | b"webview" => {
            Tag::Active
        }
        b"style" | b"textarea" | b"title" | b"noscript" | b"xmp" | b"noembed" | b"noframes"
        | b"plaintext" | b"template" => Tag::Raw,
        b"svg" | b"math" | b"link" | b"form" | b"meta" | b"xml" | b"image" | b"import" | b"use"
        | b"set" | b"dialog" | b"comment" => Tag::Unusual,
        _ => return None,
    })
}

/// Whether there is an event of this name, which is without its `on`.
pub(super) fn is_event(name: &[u8]) -> bool {
    if name.len() > 32 {
        return false;
    }
    let mut lower = [0u8; 32];
    for (to, b) in lower.iter_mut().zip(name) {
        *to = b.to_ascii_lowercase();
    }
    let name = &lower[..name.len()];
    // Families of events.
    const FAMILIES: [&[u8]; 16] = [
        b"mouse",
        b"key",
        b"pointer",
        b"touch",
        b"drag",
        b"animation",
        b"transition",
        b"before",
        b"after",
        b"focus",
        b"webkit",
        b"moz",
        b"ms",
        b"data",
        b"media",
        b"gesture",
    ];
    if FAMILIES.iter().any(|family| name.starts_with(family)) {
        return true;
    }
    matches!(
        name,
        b"abort"
            | b"activate"
            | b"afterprint"
            | b"auxclick"
            | b"beforeprint"
            | b"begin"
            | b"blur"
            | b"bounce"
            | b"cancel"
            | b"canplay"
            | b"canplaythrough"
            | b"cellchange"
            | b"change"
            | b"click"
            | b"close"
            | b"command"
            | b"contentready"
            | b"contextmenu"
            | b"controlselect"
            | b"copy"
            | b"cuechange"
            | b"cut"
            | b"dblclick"
            | b"deactivate"
            | b"devicelight"
            | b"devicemotion"
            | b"drop"
            | b"durationchange"
            | b"emptied"
            | b"end"
            | b"ended"
            | b"error"
            | b"errorupdate"
            | b"filterchange"
            | b"finish"
            | b"formchange"
            | b"formdata"
            | b"forminput"
            | b"gotpointercapture"
            | b"hashchange"
            | b"help"
            | b"input"
            | b"invalid"
            | b"layoutcomplete"
            | b"load"
            | b"loadeddata"
            | b"loadedmetadata"
            | b"loadend"
            | b"loadstart"
            | b"losecapture"
            | b"message"
            | b"messageerror"
            | b"move"
            | b"moveend"
            | b"movestart"
            | b"offline"
            | b"orientationchange"
            | b"outofsync"
            | b"page"
            | b"pagehide"
            | b"pageshow"
            | b"paste"
            | b"pause"
            | b"play"
            | b"playing"
            | b"popstate"
            | b"progress"
            | b"propertychange"
            | b"ratechange"
            | b"readystatechange"
            | b"rejectionhandled"
            | b"repeat"
            | b"reset"
            | b"resize"
            | b"resizeend"
            | b"resizestart"
            | b"resume"
            | b"reverse"
            | b"rowenter"
            | b"rowexit"
            | b"rowsdelete"
            | b"rowsinserted"
            | b"scroll"
            | b"scrollend"
            | b"search"
            | b"securitypolicyviolation"
            | b"seek"
            | b"seeked"
            | b"seeking"
            | b"select"
            | b"selectionchange"
            | b"selectstart"
            | b"show"
            | b"slotchange"
            | b"stalled"
            | b"start"
            | b"stop"
            | b"storage"
            | b"submit"
            | b"suspend"
            | b"syncrestored"
            | b"timeerror"
            | b"timeout"
            | b"timeupdate"
            | b"toggle"
            | b"trackchange"
            | b"unhandledrejection"
            | b"unload"
            | b"urlflip"
            | b"volumechange"
            | b"waiting"
            | b"wheel"
            | b"zoom"
    )
}
