//! Words of SQL.

mod keywords;

use keywords::{KEYWORDS, LENGTHS, LETTERS, LONGEST, pair};

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// `AND`, `OR`, `XOR`.
    Logic,
    /// `NOT`.
    Not,
    /// Operators that compare: `LIKE`, `IN`, `BETWEEN`, `REGEXP`, `IS`.
    Compare,
    /// Operators that count: `DIV`, `MOD`.
    Arithmetic,
    /// Before an operand: `BINARY`, `DISTINCT`, `ALL`, `ANY`, `EXISTS`, `INTERVAL`.
    Prefix,
    /// `TOP`, with a number behind it.
    Top,
    /// `NULL`, `TRUE`, `FALSE`, `CURRENT_USER`.
    Constant,
    /// `UNION`, `INTERSECT`, `EXCEPT`, `MINUS`.
    Union,
    /// `SELECT`.
    Select,
    /// `VALUES`.
    Values,
    /// `FROM`.
    From,
    /// `WHERE`, `HAVING`, `ON`.
    Where,
    /// `ORDER`, `GROUP`, `PARTITION`.
    Order,
    /// `BY`.
    By,
    /// `LIMIT`, `OFFSET`, `FETCH`.
    Limit,
    /// `INTO`.
    Into,
    /// `OUTFILE`, `DUMPFILE`.
    File,
    /// `PROCEDURE`.
    Procedure,
    /// `AS`.
    As,
    /// `COLLATE`.
    Collate,
    /// `ASC`, `DESC`, `NULLS`.
    Direction,
    /// `CASE`.
    Case,
    /// `WHEN`, `THEN`, `ELSE`.
    Branch,
    /// `END`.
    End,
    /// `JOIN`, `INNER`, `LEFT`, `CROSS`, `NATURAL`.
    Join,
    /// `USING`, `ESCAPE`, `SEPARATOR`, `FOR`.
    Option,
    /// `INSERT`, `REPLACE`, `MERGE`.
    Insert,
    /// `UPDATE`.
    Update,
    /// `DELETE`.
    Delete,
    /// `DROP`, `CREATE`, `ALTER`, `TRUNCATE`, `RENAME`.
    Define,
    /// `TABLE`, `DATABASE`, `VIEW`, `INDEX`, `USER`.
    Object,
    /// `EXEC`, `EXECUTE`, `CALL`.
    Execute,
    /// `DECLARE`.
    Declare,
    /// `SET`.
    Set,
    /// `WAITFOR`.
    Wait,
    /// `DELAY`, `TIME` behind `WAITFOR`.
    Delay,
    /// `SHUTDOWN`.
    Shutdown,
    /// `BEGIN`.
    Begin,
    /// `IF`.
    If,
    /// `MODE`, as in `IN BOOLEAN MODE`.
    Mode,
    /// `WITH`, `GRANT`, `REVOKE`, `COPY`, `LOAD`, `HANDLER`.
    Other,
}

/// What a word is, were it a keyword.
pub(super) fn word(text: &[u8]) -> Option<Word> {
    let &[first, second, ..] = text else { return None };
    let letter = usize::from((first | 0x20).wrapping_sub(b'a'));
    if letter >= 26 || text.len() > LONGEST {
        return None;
    }
    // Most words have a beginning and a length that no keyword has.
    if LENGTHS[pair(first | 0x20, second | 0x20)] & 1 << text.len() == 0 {
        return None;
    }
    let range = usize::from(LETTERS[letter])..usize::from(LETTERS[letter + 1]);
    KEYWORDS[range].iter().find_map(|(name, word)| name.eq_ignore_ascii_case(text).then_some(*word))
}

/// What a call of a function is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// It waits, reads files, runs programs, or fails with data in the message.
    Dangerous,
    /// A function of databases.
    Known,
    /// Any other.
    Unknown,
}

/// What a function is, by its name.
pub(super) fn call(text: &[u8]) -> Call {
    if text.len() > 40 {
        return Call::Unknown;
    }
    let mut lower = [0u8; 40];
    for (to, b) in lower.iter_mut().zip(text) {
        *to = b.to_ascii_lowercase();
    }
    let lower = &lower[..text.len()];
    if lower.starts_with(b"dbms_")
        || lower.starts_with(b"utl_")
        || lower.starts_with(b"ctxsys.")
        || lower.starts_with(b"sys.dbms_")
        || lower.starts_with(b"sys.utl_")
        || lower.starts_with(b"xp_")
        || lower.starts_with(b"sp_o")
        || lower.starts_with(b"lo_")
    {
        return Call::Dangerous;
    }
    match lower {
        b"benchmark"
        | b"pg_sleep"
        | b"load_file"
        | b"extractvalue"
        | b"updatexml"
        | b"randomblob"
        | b"load_extension"
        | b"pg_read_file"
        | b"pg_ls_dir"
        | b"xmltype"
        | b"query_to_xml"
        | b"database_to_xml"
        | b"dblink"
        | b"openrowset"
        | b"opendatasource"
        | b"openquery"
        | b"httpuritype"
        | b"make_set"
        | b"procedure_analyse"
        | b"analyse"
        | b"name_const"
        | b"fn_xe_file_target_read_file"
        | b"fn_get_audit_file"
        | b"gtid_subset"
        | b"gtid_subtract"
        | b"json_keys"
        | b"regexp_substring"
        | b"generate_series"
        | b"is_srvrolemember"
        | b"sys_eval"
        | b"sys_exec"
        | b"pg_sleep_for"
        | b"pg_sleep_until"
        | b"current_setting"
        | b"inet_server_addr"
        | b"writefile"
        | b"readfile"
        | b"master_pos_wait"
        | b"release_lock"
        | b"get_lock" => Call::Dangerous,
        b"sleep"
        | b"concat"
        | b"concat_ws"
        | b"group_concat"
        | b"char"
        | b"chr"
        | b"nchar"
        | b"ascii"
        | b"ord"
        | b"hex"
        | b"unhex"
        | b"substr"
        | b"substring"
        | b"mid"
        | b"left"
        | b"right"
        | b"version"
        | b"database"
        | b"schema"
        | b"user"
        | b"system_user"
        | b"session_user"
        | b"current_user"
        | b"count"
        | b"cast"
        | b"convert"
        | b"coalesce"
        | b"ifnull"
        | b"nullif"
        | b"isnull"
        | b"nvl"
        | b"if"
        | b"iif"
        | b"elt"
        | b"floor"
        | b"rand"
        | b"round"
        | b"exp"
        | b"row"
        | b"md5"
        | b"sha1"
        | b"length"
        | b"len"
        | b"char_length"
        | b"lower"
        | b"upper"
        | b"lcase"
        | b"ucase"
        | b"reverse"
        | b"replace"
        | b"instr"
        | b"locate"
        | b"position"
        | b"aes_encrypt"
        | b"aes_decrypt"
        | b"encode"
        | b"decode"
        | b"db_name"
        | b"host_name"
        | b"user_name"
        | b"suser_name"
        | b"suser_sname"
        | b"object_id"
        | b"col_length"
        | b"stuff"
        | b"str"
        | b"quotename"
        | b"string_agg"
        | b"array_agg"
        | b"array_to_string"
        | b"json_extract"
        | b"json_object"
        | b"jsonb_array_elements"
        | b"sysdate"
        | b"now"
        | b"last_insert_id"
        | b"max"
        | b"min"
        | b"sum"
        | b"avg"
        | b"sqlite_version"
        | b"typeof"
        | b"xmlelement"
        | b"xmlforest"
        | b"xmlagg"
        | b"listagg"
        | b"wm_concat"
        | b"sin"
        | b"cos"
        | b"tan"
        | b"abs"
        | b"pi"
        | b"sign"
        | b"ln"
        | b"log"
        | b"power"
        | b"sqrt"
        | b"trim"
        | b"ltrim"
        | b"rtrim"
        | b"lpad"
        | b"rpad"
        | b"repeat"
        | b"space"
        | b"field"
        | b"find_in_set"
        | b"bin"
        | b"conv"
        | b"date_format"
        | b"from_base64"
        | b"to_base64"
        | b"unistr"
        | b"starts_with"
        | b"pg_client_encoding"
        | b"current_database"
        | b"current_schema"
        | b"version_comment"
        | b"substring_index"
        | b"strcmp"
        | b"format"
        | b"export_set"
        | b"interval"
        | b"least"
        | b"greatest"
        | b"connection_id"
        | b"row_count"
        | b"found_rows"
        | b"crc32"
        | b"uuid"
        | b"to_char"
        | b"to_number"
        | b"rawtohex"
        | b"utl_raw"
        | b"domain"
        | b"like"
        | b"quote"
        | b"unicode"
        | b"soundex"
        | b"difference" => Call::Known,
        _ => Call::Unknown,
    }
}
