//! What is picked from.

pub(crate) const HOSTS: &[&str] = &[
    "www.example.com", "shop.example.de", "news.example.co.uk", "api.example.io", "m.example.jp",
    "static.example.net", "forum.example.org", "mail.example.fr", "accounts.example.com",
];

pub(crate) const AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36 [FBAN/FBIOS;FBAV/470.1.0.45.109;FBBV/610;FBDV/iPhone14,7;FBMD/iPhone;FBSN/iOS;FBSV/17.5;FBSS/3;FBCR/;FBID/phone;FBLC/en_US;FBOP/80]",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; SLCC2; .NET CLR 2.0.50727; InfoPath.2; .NET4.0C)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 6 Build/TQ3A.230901.001)",
    "curl/8.5.0", "python-requests/2.31.0", "okhttp/4.12.0", "PostmanRuntime/7.37.3", "Wget/1.21.4 (linux-gnu)",
    "MyApp/3.2.1 (com.example.my-app; build:412; iOS 17.5.1) Alamofire/5.9.1",
    "git/2.43.0", "Go-http-client/2.0", "Apache-HttpClient/4.5.14 (Java/17.0.9)",
    "WhatsApp/2.24.12.78 A", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
];

pub(crate) const ACCEPTS: &[&str] = &[
    "*/*", "application/json, text/plain, */*",
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
];

pub(crate) const LANGUAGES: &[&str] = &[
    "en-US,en;q=0.9", "de-DE,de;q=0.9,en;q=0.8", "ja,en-US;q=0.9,en;q=0.8", "fr-FR,fr;q=0.8,en-US;q=0.5,en;q=0.3",
    "zh-CN,zh;q=0.9", "ru-RU,ru;q=0.9,en-US;q=0.8", "pt-BR,pt;q=0.9", "ar,en;q=0.5",
];

pub(crate) const WORDS: &[&str] = &[
    "running", "shoes", "red", "summer", "sale", "table", "order", "select", "group", "union", "drop", "update",
    "insert", "delete", "having", "where", "from", "like", "cat", "dog", "find", "sort", "head", "tail", "more",
    "less", "top", "time", "who", "host", "kill", "sleep", "echo", "type", "script", "alert", "on", "and", "or",
    "not", "null", "true", "case", "when", "then", "end", "begin", "set", "values", "into", "by", "limit", "key",
    "coffee", "machine", "best", "cheap", "near", "me", "how", "to", "make", "bread", "python", "java", "node",
    "php", "perl", "ruby", "bash", "shell", "curl", "hair", "iron", "board", "games", "file", "windows", "system",
    "home", "office", "chair", "desk", "lamp", "price", "review", "2024", "15", "inch", "xl", "4k", "usb-c",
];

pub(crate) const NAMES: &[&str] = &[
    "O'Brien", "D'Angelo", "Anne-Marie", "Müller", "Nguyễn", "N'Golo Kanté", "Sean O'Casey", "José María",
    "Łukasz", "Björk Guðmundsdóttir", "Jean-Luc", "Ng'ang'a", "van der Berg", "al-Ḥasan", "Smith & Sons",
    "M'Baye", "L'Oréal", "Mc'Donald", "\"Bob\" Jones", "Robert (Rob) Lee", "Null", "Or", "Drop", "Grant",
];

pub(crate) const SEARCHES: &[&str] = &[
    "what is 2+2=4", "c++ vs c#", "how to select all in excel", "union square hotels",
    "\"exact phrase\" -exclude", "site:example.com filetype:pdf", "weather 10° C", "北京天气", "東京 ラーメン おすすめ",
    "погода в москве", "مطاعم قريبة", "प्रयागराज समाचार", "서울 맛집", "ร้านอาหาร", "μαθηματικά", "חדשות",
    "it's a wonderful life (1946)", "rock 'n' roll", "who's who", "5' 11\" in cm", "36\" x 48\" frame", "9/11",
    "AC/DC", "R&B", "AT&T", "<3", "100% cotton", "50% off & free shipping", "x^2 + y^2 = r^2", "f(x) = sin(x)/x",
    "a|b regex", "$100-$200", "#1 dad", "@home", "C:\\Users path windows", "../ meaning in path", "what does && do",
    "how to kill a process; linux", "drop table sql tutorial", "\"and\" vs \"or\"",
    "echo dot 4th gen", "cat food", "ping pong table", "sleep number bed", "top 10 movies", "time in new york",
    "php tutorial", "node js require", "alert fatigue", "script font", "iframe generator",
    "document scanner", "onclick event", "base64 decode", "order by date desc", "group by sql", "case when", "like new",
    "having trouble sleeping", "insert coin", "update windows 11", "delete facebook account", "create table in word",
    "between 5 and 10", "null island", "exec sql", "etc passwd file", 
    "192.168.1.1 login", "😀 emoji", "naïve café", "l'hôtel à côté", "qu'est-ce que c'est",
    "d'Artagnan", "'70s music", "rock & roll hall of fame", "tom & jerry; the movie", "Q&A", "yes/no", "and/or",
    "a = b", "if x > 5 then", "1 - 2 - 3", "(555) 123-4567", "+1 555 123 4567", "john@example.com", "--help flag",
    "how to use sed", "awk print", "{json}", "[bracket]", 
    "on error resume next", "select into", 
];

/// Searches of people who program. Seen now and then.
pub(crate) const TECHNICAL: &[&str] = &[
    "1=1 or 2=2 meaning", "select * from where clause", "or 1=1", "java.lang.nullpointerexception", "what is /etc/hosts", "shutdown -s -t 0", "rm -rf meaning", "git commit -m", "ls -la", "chmod 755", "<html> tag", "<script> tag html", "javascript: void(0)", "127.0.0.1", "localhost 8080", "union all vs union",
];
