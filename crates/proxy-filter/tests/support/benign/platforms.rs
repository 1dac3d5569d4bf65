//! What platforms of many kinds send, each in its own dialect: as patterns with holes.

use super::pages::slug;
use super::random::{Random, encode, form, json};
use super::words::HOSTS;
use super::{Draft, Template};

pub(crate) const TEMPLATES: &[(&str, usize, Template)] = &[
    ("dialect-get", 1400, get),
    ("dialect-post", 900, post),
    ("dialect-cookie", 500, cookie),
    ("dialect-path", 500, path),
    ("compose", 900, compose),
    ("code", 120, code),
];

/// Parts of queries. `{q}` is a search as forms encode it, `{e}` percent-encoded, `{u}` an encoded
/// URL, `{h}` hexadecimal, `{d}` digits, `{t}` a token, `{b}` base64, `{g}` a UUID.
const QUERIES: &[&str] = &[
    "where=1%3D1&outFields=*&returnGeometry=false&f=json",
    "where=OBJECTID%20%3E%20{d}%20AND%20STATUS%20%3D%20%27open%27&outFields=NAME%2CID&orderByFields=NAME%20ASC&f=pjson",
    "$filter=startswith(Name,'{t}')%20and%20Price%20gt%20{d}&$orderby=Name%20desc&$top=20&$select=Id,Name",
    "%24filter=Id%20eq%20'{g}'%20or%20contains(Title,%20'{e}')&%24expand=Author",
    "jql=project%20%3D%20ABC%20AND%20status%20in%20(%22To%20Do%22%2C%20Done)%20ORDER%20BY%20created%20DESC&maxResults=50",
    "q=is%3Aopen+is%3Aissue+author%3A{t}+label%3A%22good+first+issue%22+sort%3Aupdated-desc",
    "q=title:({q})+AND+(type:book+OR+type:article)+NOT+lang:de&fq=year:[2000+TO+*]&defType=edismax",
    "query=%22{q}%22%5BTitle%5D+AND+(2019%5BPDAT%5D+%3A+3000%5BPDAT%5D)&retmode=json",
    "pb=!1m18!1m12!1m3!1d{d}.5!2d13.{d}!3d52.{d}!2m3!1f0!2f0!3f0!3m2!1i1024!2i768!4f13.1!3m3!1m2!1s0x{h}:0x{h}!2s{q}!5e0!3m2!1sen!2sde!4v{d}",
    "v=2&tid=G-{t}&gtm=45je{t}&_p={d}&cid={d}.{d}&ul=en-us&sr=1920x1080&_s=1&dl={u}&dr={u}&dt={e}&en=view_item&pr1=id{t}~nm{e}~br{q}~pr19.99~qt1&ep.type=(not%20set)&epn.value=0",
    "id={d}&ev=ViewContent&dl={u}&rl=&if=false&ts={d}&cd[content_ids]=[%22{d}%22%2C%22{d}%22]&cd[content_type]=product&cd[value]=19.9&sw=1920&sh=1080&udff[em]={h}&v=2.9.150&r=stable&a=tmgoogletagmanager&ec=1&o=4126&fbp=fb.1.{d}.{d}&it={d}&coo=false",
    "browser-info=pv%3A1%3Avf%3A{t}%3Afp%3A812%3Afu%3A0%3Aen%3Autf-8%3Ala%3Aen-US%3Av%3A1234%3Acn%3A1%3Adp%3A0%3Als%3A{d}%3Ahid%3A{d}%3Az%3A60%3Ai%3A20240101101112%3Aet%3A{d}%3Ac%3A1%3Arn%3A{d}%3Ast%3A{d}%3At%3A{e}&t=gdpr(14)clc(0-0-0)rqnt(1)aw(1)ti(2)",
    "AQB=1&ndh=1&pf=1&t=1%2F0%2F2024%2010%3A11%3A12%201%20-60&mid={d}&aamlh=6&ce=UTF-8&pageName=shop%7Chome%7C{e}&g={u}&cc=EUR&events=event1%2Cevent2%3D5&v1=D%3Dv0&c3={e}&s=1920x1080&c=24&j=1.6&v=N&k=Y&bw=1200&bh=900&AQE=1",
    "cv=11&fst={d}&bg=ffffff&guid=ON&async=1&gtm=45be{t}z8{d}za201&gcs=G111&u_w=1920&u_h=1080&hn=www.googleadservices.com&frm=0&tiba={e}&value=0&npa=0&pscdl=noapi&auid={d}.{d}&uaa=x86&uab=64&uafvl=Chromium%3B126.0.6478.127%7CNot.A%252FBrand%3B24.0.0.0&fledge=1&data=event%3Dgtag.config&rfmt=3&fmt=4",
    "iu=%2F{d}%2Fsite%2Fhome&sz=728x90%7C970x250%7C1x1&cust_params=pos%3Dtop%26kw%3D{q}%26url%3D{e}%26ab%3D!true&scp=slot%3Dheader%26test%3D(a%7Cb)&output=ldjh&correlator={d}&eid={d}%2C{d}&prev_iu_szs=300x250&ists=1&ifi=1&adks={d}&vis=1&psz=0x-1%7C0x0&ga_vid={d}.{d}&td=1&nt=1",
    "lt=pageView&a=1.1.{d}&e={d}&r=&c=pv;{t};{t}&ord={d}?&dc_rdid=&tag_for_child_directed_treatment=&gdpr=${GDPR}&gdpr_consent=${GDPR_CONSENT_755}",
    "cb={d}&gdpr=1&gdpr_consent=%%GDPR_CONSENT%%&us_privacy=1---&redir={u}%26uid%3D%24UID",
    "redirect=https%3A%2F%2Fcm.{t}.com%2Fpixel%3Fid%3D%24%7BUID%7D%26x%3D%5BCACHEBUSTER%5D",
    "client_id={t}&redirect_uri={u}&response_type=code%20id_token&scope=openid%20profile%20email%20offline_access&state={b}&nonce={t}&code_challenge={t}&code_challenge_method=S256&prompt=select_account&response_mode=form_post&login_hint=jane.o%27neil%40example.com",
    "SAMLRequest={b}&RelayState={u}&SigAlg=http%3A%2F%2Fwww.w3.org%2F2001%2F04%2Fxmldsig-more%23rsa-sha256&Signature={b}",
    "wa=wsignin1.0&wtrealm=urn%3Afederation%3AMicrosoftOnline&wctx=rm%3D0%26id%3Dpassive%26ru%3D%252f&wct=2024-01-01T10%3a11%3a12Z",
    "tx=%28cat%29&q%5B0%5D%5Bname%5D={e}&q%5B0%5D%5Bop%5D=not_in&filters%5Bprice%5D%5B%24gte%5D=10&sort%5B0%5D=name%3Aasc&populate=*",
    "select=id,name,orders(id,total)&status=eq.active&price=gte.{d}&or=(age.lt.18,age.gt.65)&order=created_at.desc.nullslast&limit=20",
    "_dc={d}&filter=%5B%7B%22property%22%3A%22name%22%2C%22operator%22%3A%22like%22%2C%22value%22%3A%22{e}%22%7D%5D&sort=%5B%7B%22property%22%3A%22id%22%2C%22direction%22%3A%22DESC%22%7D%5D&callback=Ext.data.JsonP.callback{d}",
    "draw=1&columns%5B0%5D%5Bdata%5D=function&columns%5B0%5D%5Bsearchable%5D=true&columns%5B0%5D%5Bsearch%5D%5Bregex%5D=false&order%5B0%5D%5Bcolumn%5D=0&order%5B0%5D%5Bdir%5D=asc&search%5Bvalue%5D={e}&_={d}",
    "expr=sum(rate(http_requests_total%7Bjob%3D~%22api.*%22%2Ccode!~%225..%22%7D%5B5m%5D))%20by%20(le)%20%3E%200.5&start={d}&end={d}&step=15",
    "target=alias(summarize(stats.counters.{t}.count,'1h','sum'),'{e}')&from=-24h&until=now&format=json",
    "family=Open+Sans:ital,wght@0,400;0,700;1,400&family=Roboto+Mono&display=swap&text=%21%22%27%28%29%3C%3E%26",
    "chl={u}&cht=qr&chs=300x300&choe=UTF-8&chld=L|0",
    "tex=%5Cfrac%7B-b%20%5Cpm%20%5Csqrt%7Bb%5E2-4ac%7D%7D%7B2a%7D%20%5Cquad%20%5Cforall%20x%20%5Cin%20%5Cmathbb%7BR%7D",
    "formula=%3DIF(A1%3E10%2CSUM(B%3AB)%2FCOUNT(C%3AC)%2C%22n%2Fa%22)&locale=en",
    "i=solve+x%5E2-5x%2B6%3D0+and+x%3E2+or+x%3C-1&assumption=*C.x-_*Variable-",
    "oq={q}&gs_lcrp=EgZ{t}BggBEEUYOzIG{t}&sourceid=chrome&ie=UTF-8&sclient=gws-wiz&ved=2ahUKEwi{t}&uact=5&sa=X&biw=1200&bih=900",
    "text=site%3Aexample.com+intitle%3A%22{q}%22+-inurl%3Alogin+filetype%3Apdf+OR+filetype%3Adoc",
    "emoji=%F0%9F%98%80%F0%9F%91%A9%E2%80%8D%F0%9F%91%A9%E2%80%8D%F0%9F%91%A7&reaction=%E2%9D%A4%EF%B8%8F&skin=%F0%9F%91%8D%F0%9F%8F%BD",
    "to=%2B49%20151%20{d}&body=Hi!%20I%27m%20late%20(10%20min)%3B%20sorry%20%3A-(%20%E2%80%94%20{e}",
    "subject=Re%3A%20%5BABC-{d}%5D%20{e}&body=%3E%20On%20Mon%2C%20Jane%20wrote%3A%0D%0A%3E%20{e}%0D%0A%0D%0A--%0D%0AJane%20O%27Neil&cc=a%40example.com%3Bb%40example.com",
    "url={u}&title={e}&text={e}%20%23sale%20%40shop%20{u}&hashtags=a,b&via=shop",
    "style=width%3A100%25%3Bcolor%3A%23fff%3Bbackground%3Aurl(%2Fimg%2Fa.png)%20no-repeat&class=btn%20btn-primary",
    "svg=%3Csvg%20xmlns%3D%22http%3A%2F%2Fwww.w3.org%2F2000%2Fsvg%22%20viewBox%3D%220%200%208%208%22%3E%3Cpath%20d%3D%22M0%200h8v8z%22%2F%3E%3C%2Fsvg%3E",
    "path=C%3A%5CUsers%5Cjane%5CDocuments%5CReport%20(final)%20v2.docx&drive=%5C%5Cserver%5Cshare%5C{t}",
    "file=My%20photo%20%26%20friends%20(1)%20%5B2024%5D%20'best'.jpg&folder=%2FPictures%2FSummer%20%2724",
    "date=2024-01-01T10:11:12%2B01:00&range=now-7d%2Fd&tz=Europe/Berlin&cron=0%20*%2F6%20*%20*%201-5",
    "ids=1,2,3;4|5&matrix=1,0;0,1&bbox=-180,-90,180,90&viewport=52.5,13.4%3B53,14&z={d}",
    "price=%3E%3D10&size=%3C%3D42&op=%21%3D&color=red%7Cblue&discount=50%25&rate=1%2F2",
    "name=O%27Connor&last=D%27Angelo&city=L%27Aquila&co=Ben+%26+Jerry%27s&quote=%22Don%27t%22&ln=Null&user=admin&pw=true",
    "msg=if+you+select+a+seat+from+the+list+then+order+by+phone+and+we+drop+it+where+you+like",
    "note=in+that+case+when+you+are+done+then+call+me%3B+else+wait+for+the+delay+or+sleep+(10+hours)",
    "lyric=I+can%27t+get+no+%28satisfaction%29+--+%27cause+I+try+%26+I+try+%23rock",
    "q=%40john.doe&mention=%40jane_o&handle=@alice.bsky.social&tag=%23c%2B%2B",
    "q=c%23+vs+java%3B+what%27s+faster%3F&lang=c%2B%2B&t=a%3Fb%3Ac&x=1&&y=2",
    "s_kwcid=AL!{d}!3!{d}!e!!g!!{q}&gclid=Cj0KCQ{t}&gad_source=1&gbraid=0AAAA{t}&_gl=1*{t}*_up*MQ..*_ga*{d}",
    "mc_cid={h}&mc_eid=%5BUNIQID%5D&utm_source=newsletter&utm_content={e}&email=%7B%7Bcontact.email%7D%7D&name=*%7CFNAME%7C*&uid=%25%25subscriberid%25%25",
    "tpl=%7B%7Buser.name%7D%7D&mustache=%7B%7B%23items%7D%7D%7B%7Bname%7D%7D%7B%7B%2Fitems%7D%7D&erb=%25name%25",
    "data=%7B%22a%22%3A%5B%7B%22b%22%3A%22{e}%22%2C%22c%22%3A%22%3Cb%3Ebold%3C%2Fb%3E%22%7D%5D%2C%22u%22%3A%22{u}%22%7D",
    "callback=jQuery{d}_{d}&_={d}&method=flickr.photos.search&jsoncallback=?",
    "fields=id,name,picture.width(200).height(200){url,height},posts.limit(5){message,created_time}&access_token={t}",
    "cursor={id,name}&shape={0,0}&rect={{0,0},{320,480}}&set={a,b}",
];

/// Contents: type and pattern. `{j}` is the inside of a string of JSON, `{x}` text of XML.
const CONTENTS: &[(&str, &str)] = &[
    (
        "application/x-www-form-urlencoded",
        "__EVENTTARGET=ctl00%24Main%24Grid&__EVENTARGUMENT=Page%242&__VIEWSTATE=%2FwEPDwUK{b}%3D%3D&__VIEWSTATEGENERATOR={h}&__EVENTVALIDATION=%2FwEdAB{b}&ctl00%24Main%24txtName={q}&ctl00%24Main%24ddl=-1&__ASYNCPOST=true",
    ),
    (
        "application/x-www-form-urlencoded;charset=UTF-8",
        "f.req=%5B%5B%5B%22{t}%22%2C%22%5Bnull%2C%5B%5C%22{e}%5C%22%2C10%5D%2C%5B%5D%5D%22%2Cnull%2C%22generic%22%5D%5D%5D&at={t}%3A{d}&",
    ),
    (
        "application/x-www-form-urlencoded",
        "action=wp_rest&post_content=%3C%21--+wp%3Aparagraph+--%3E%0A%3Cp%3E{q}%3C%2Fp%3E%0A%3C%21--+%2Fwp%3Aparagraph+--%3E&_wpnonce={h}&_wp_http_referer=%2Fwp-admin%2Fpost.php%3Fpost%3D{d}%26action%3Dedit",
    ),
    (
        "application/x-www-form-urlencoded",
        "email=jane.o%27neil%2Btest%40example.com&password=Tr0ub4dor%263%27%21&confirm=p%40%24%24w0rd%7C%3C%3E&csrf={t}&remember=on",
    ),
    (
        "application/x-www-form-urlencoded",
        "password=it%27s-or-what%3F&comment={q}&commit=Save+%26+continue",
    ),
    (
        "application/x-www-form-urlencoded",
        "utf8=%E2%9C%93&issue%5Btitle%5D={q}&issue%5Bbody%5D=%60%60%60sql%0ASELECT+id%2C+name+FROM+users+WHERE+id+%3D+1%3B%0A%60%60%60%0AIt+fails+with+%60syntax+error%60",
    ),
    (
        "text/plain;charset=UTF-8",
        "{\"requests\":[{\"indexName\":\"prod\",\"params\":\"query={q}&hitsPerPage=20&facetFilters=%5B%5B%22brand%3ALevi's%22%5D%5D&highlightPreTag=__ais-highlight__&highlightPostTag=__%2Fais-highlight__\"}]}",
    ),
    (
        "application/json",
        "{\"query\":{\"bool\":{\"must\":[{\"match\":{\"title\":\"{j}\"}},{\"range\":{\"price\":{\"gte\":10,\"lt\":\"now-1d/d\"}}}],\"filter\":[{\"script\":{\"script\":\"doc['price'].value > params.min\"}}]}},\"size\":20}",
    ),
    (
        "application/json",
        "{\"events\":[{\"t\":\"click\",\"sel\":\"div#app > ul > li:nth-child(2) > a[href='/x?a=1&b=2']\",\"txt\":\"{j}\",\"xpath\":\"/html/body/div[2]/ul/li[3]/a\",\"html\":\"<a class=\\\"btn\\\" href=\\\"/x\\\">{j}</a>\"}],\"sid\":\"{g}\"}",
    ),
    (
        "application/json",
        "{\"id\":\"{g}\",\"imp\":[{\"id\":\"1\",\"banner\":{\"format\":[{\"w\":300,\"h\":250}]},\"ext\":{\"prebid\":{\"bidder\":{\"ix\":{\"siteId\":\"{d}\"}}}}}],\"site\":{\"page\":\"https://{o}/{s}?q={q}&x=%27y%27\",\"ref\":\"https://{o}/?a=b;c\",\"keywords\":\"a,b,{j}\"},\"device\":{\"ua\":\"Mozilla/5.0 (Windows NT 10.0; Win64; x64)\"},\"user\":{\"ext\":{\"consent\":\"{t}\"}},\"tmax\":500}",
    ),
    (
        "application/json",
        "[{\"type\":4,\"data\":{\"href\":\"https://{o}/{s}\"}},{\"type\":2,\"data\":{\"node\":{\"type\":0,\"childNodes\":[{\"tagName\":\"script\",\"attributes\":{\"src\":\"https://{o}/a.js\",\"type\":\"text/javascript\"}},{\"tagName\":\"style\",\"textContent\":\".a > .b { color: red; } /* {j} */\"},{\"textContent\":\"{j}\"},{\"tagName\":\"img\",\"attributes\":{\"onerror\":\"\",\"src\":\"data:image/png;base64,{b}\"}}]}}}]",
    ),
    (
        "application/json",
        "{\"title\":\"{j}\",\"body\":\"## Steps\\n1. Run `npm install && npm test`\\n2. See:\\n\\n```js\\nconst a = b ? c : d; // {j}\\nif (x === 'y' || z) { document.getElementById('q').innerHTML = `<b>${name}</b>`; }\\n```\\n\\n> it's broken\",\"labels\":[\"bug\"],\"draft\":false}",
    ),
    (
        "application/json",
        "{\"blocks\":[{\"type\":\"paragraph\",\"data\":{\"text\":\"{j} <b>bold</b> & <a href=\\\"https://{o}/{s}?a=b&amp;c=d\\\">link</a> <i>it's</i>\"}},{\"type\":\"image\",\"data\":{\"file\":{\"url\":\"https://{o}/i/{h}.png\"},\"caption\":\"{j}\"}},{\"type\":\"embed\",\"data\":{\"source\":\"https://www.youtube.com/watch?v={t}\"}}]}",
    ),
    (
        "application/json",
        "{\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant; answer in JSON.\"},{\"role\":\"user\",\"content\":\"{j} What does `SELECT COUNT(*) FROM users` do, and how do I run `docker ps -a | grep web`?\"}],\"model\":\"large\",\"temperature\":0.7}",
    ),
    (
        "application/json",
        "{\"jsonrpc\":\"2.0\",\"id\":{d},\"method\":\"eth_call\",\"params\":[{\"to\":\"0x{h}\",\"data\":\"0x70a08231000000000000000000000000{h}\"},\"latest\"]}",
    ),
    (
        "application/json",
        "{\"email\":\"jane.o'neil+x@example.com\",\"password\":\"it's: or what? -- ;) {t}\",\"captcha\":\"03AFcWeA{t}\"}",
    ),
    (
        "application/json",
        "{\"expression\":\"if(prop(\\\"Done\\\"), \\\"yes\\\", concat(\\\"no \\\", format(prop(\\\"N\\\"))))\",\"filter\":{\"or\":[{\"property\":\"a\",\"select\":{\"equals\":\"b\"}},{\"and\":[]}]}}",
    ),
    (
        "application/reports+json",
        "[{\"age\":{d},\"body\":{\"blockedURL\":\"inline\",\"disposition\":\"enforce\",\"documentURL\":\"https://{o}/{s}?q={q}\",\"effectiveDirective\":\"script-src-elem\",\"originalPolicy\":\"default-src 'self'; script-src 'unsafe-inline' https: data:; report-uri /csp\",\"sample\":\"(function(){var a=document.create\",\"sourceFile\":\"https://{o}/a.js\"},\"type\":\"csp-violation\",\"url\":\"https://{o}/\"}]",
    ),
    (
        "application/x-ndjson",
        "{\"index\":{\"_index\":\"logs\"}}\n{\"@timestamp\":\"2024-01-01T10:11:12Z\",\"message\":\"GET /{s}?id=1 200 - {j}\",\"path\":\"/var/www/app/index.php\"}\n",
    ),
    (
        "text/xml; charset=utf-8",
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soap:Body><Search xmlns=\"http://{o}/ws\"><query><![CDATA[{x} <b>&</b>]]></query><name>{x}</name><id>{g}</id></Search></soap:Body></soap:Envelope>",
    ),
    (
        "application/xml",
        "<?xml version=\"1.0\"?><D:propfind xmlns:D=\"DAV:\"><D:prop><D:displayname/><D:getcontentlength/></D:prop></D:propfind>",
    ),
    (
        "application/atom+xml",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><feed xmlns=\"http://www.w3.org/2005/Atom\"><title>{x}</title><entry><content type=\"html\">&lt;p&gt;{x} &amp;amp; more&lt;/p&gt;</content><link href=\"https://{o}/{s}?a=b&amp;c=d\"/></entry></feed>",
    ),
    (
        "application/xml",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\"><url><loc>https://{o}/{s}?id={d}&amp;x=y</loc><lastmod>2024-01-01</lastmod></url></urlset>",
    ),
    (
        "text/csv",
        "id,name,comment\n1,\"O'Brien, Sean\",\"said \"\"hi\"\"; left\"\n2,=SUM(A1:A2),{x}\n3,D'Angelo,-1+2|x\n",
    ),
    (
        "text/plain",
        "$$\\int_{-\\infty}^{\\infty} e^{-x^2}\\,dx = \\sqrt{\\pi}$$\n\\begin{align} a &= b \\\\ c &< d \\end{align} % {x}\n",
    ),
    (
        "application/vnd.api+json",
        "{\"data\":{\"type\":\"notes\",\"attributes\":{\"html\":\"<p style=\\\"text-align: center;\\\">{j}&nbsp;<br></p><ul><li>a</li></ul><img src=\\\"/f/{h}.jpg\\\" alt=\\\"\\\"><table><tbody><tr><td>1 < 2</td></tr></tbody></table>\"}}}",
    ),
    (
        "application/json",
        "{\"operations\":[{\"insert\":\"{j}\\n\"},{\"attributes\":{\"link\":\"https://{o}/{s}\"},\"insert\":\"it's here\"},{\"retain\":12}],\"rev\":{d}}",
    ),
    ("text/plain", "eyJ2IjoxfQ==.{b}.{b}"),
    (
        "application/json",
        "{\"sensor_data\":\"2;{d};{d};0,0,0,0,1,0;{t}!@#{t}\\\"{t}'*|(`{t}<{t}>\"}",
    ),
    (
        "application/csp-report",
        "{\"csp-report\":{\"document-uri\":\"https://{o}/\",\"violated-directive\":\"script-src-attr\",\"blocked-uri\":\"inline\",\"script-sample\":\"onclick handler\",\"source-file\":\"chrome-extension\"}}",
    ),
    (
        "application/json",
        "{\"regex\":\"^(?:[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\\\.[a-z0-9]+)*)@(?:[a-z]+\\\\.)+[a-z]{2,}$\",\"css\":\"@media (max-width: 600px) { .a::before { content: '\\\\201C'; } }\",\"tpl\":\"Hello {{ user.name | upper }}, {% if x %}y{% endif %}\"}",
    ),
    (
        "application/json",
        "{\"cron\":\"*/5 * * * *\",\"cmd\":\"weekly-report\",\"env\":{\"PATH\":\"/usr/local/bin:/usr/bin:/bin\",\"HOME\":\"/home/app\"},\"image\":\"registry.example.com/app:1.2\",\"volumes\":[\"/data:/var/lib/app\"]}",
    ),
];

/// Source code, which rules take for what it would do. It is counted apart: where people send it, an
/// exclusion is due.
const CODE: &[(&str, &str)] = &[
    (
        "application/json",
        "{\"cells\":[{\"source\":[\"import os\\n\",\"df = pd.read_sql('select * from t where a = 1', con)\\n\",\"!ls -la data | head -3\\n\",\"print(f\\\"{df.shape}\\\")\"],\"cell_type\":\"code\"}],\"nbformat\":4}",
    ),
    (
        "application/x-sentry-envelope",
        "{\"event_id\":\"{h}\",\"sent_at\":\"2024-01-01T10:11:12.000Z\",\"sdk\":{\"name\":\"sentry.javascript.react\",\"version\":\"8.0.0\"}}\n{\"type\":\"event\"}\n{\"exception\":{\"values\":[{\"type\":\"TypeError\",\"value\":\"Cannot read properties of null (reading 'style')\",\"stacktrace\":{\"frames\":[{\"filename\":\"https://{o}/static/js/main.{h}.js\",\"function\":\"Object.<anonymous>\",\"lineno\":1,\"colno\":{d},\"context_line\":\"{snip} eval(a);document.cookie='x'; {snip}\"}]}}]},\"breadcrumbs\":[{\"category\":\"console\",\"message\":\"{j}\"},{\"category\":\"xhr\",\"data\":{\"url\":\"/api?q=a&b='c'\"}}]}\n",
    ),
    (
        "text/markdown",
        "# {x}\n\n* a | b\n* `cat file.txt | sort | uniq -c`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<details><summary>more</summary>it's <kbd>Ctrl</kbd>+<kbd>C</kbd></details>\n\n[x](https://{o}/{s} \"title\") ![i](a.png)\n",
    ),
];

const COOKIES: &[&str] = &[
    "cto_bundle={t}; cto_bidid={t}; __gads=ID={h}:T={d}:RT={d}:S=ALNI_{t}; FCNEC=%5B%5B%22AKsRol{t}%3D%3D%22%5D%2Cnull%2C%5B%5B2%2C%22%5Bnull%2C%5C%22{d}%5C%22%5D%22%5D%5D%5D",
    "cookieyes-consent=consentid:{t},consent:yes,action:yes,necessary:yes,functional:yes; CookieConsent={stamp:%27{t}%3D%3D%27%2Cnecessary:true%2Cpreferences:false%2Cmethod:%27explicit%27%2Cver:1%2Cutc:{d}%2Cregion:%27de%27}",
    "mp_{h}_mixpanel=%7B%22distinct_id%22%3A%20%22%24device%3A{g}%22%2C%22%24initial_referrer%22%3A%20%22{u}%22%2C%22__mps%22%3A%20%7B%7D%7D",
    "_dd_s=rum=1&id={g}&created={d}&expire={d}; intercom-session-{t}={b}--{h}",
    "visitor_info={\"id\":{d},\"name\":\"{j}\",\"url\":\"https://{o}/{s}?a=b&c='d'\"}; tz=Europe/Berlin; theme=dark|compact",
    "PHPSESSID={h}; JSESSIONID=0000{t}:-1; connect.sid=s%3A{t}.{b}; XSRF-TOKEN={b}%3D; laravel_session={b}%3D%3D",
    "ajs_user_id=%22{g}%22; ajs_anonymous_id=%22{g}%22; __stripe_mid={g}{h}; G_ENABLED_IDPS=google; _clck={t}%7C2%7C{t}%7C0%7C{d}; _uetvid={h}",
    "search_history=[\"{j}\",\"{j}\"]; recent={q}; lang=en_US; currency=EUR; geo={%22c%22:%22DE%22}",
    "amp_{h}={t}.{b}..1h{t}.1h{t}.{d}.0.{d}; _pk_id.1.1fff={h}.{d}.; _pk_ref.1.1fff=%5B%22%22%2C%22%22%2C{d}%2C%22{u}%22%5D",
    "s_fid={h}-{h}; s_vi=[CS]v1|{h}-{h}[CE]; s_nr30={d}-Repeat; gpv=us|en|home|{q}; mbox=PC#{h}.37_0#{d}|session#{h}#{d}",
    "TS01{h}=01{h}; BIGipServerpool={d}.{d}.0000; incap_ses_{d}_{d}={b}; nlbi_{d}={b}; rxVisitor={d}{t}; dtCookie=v_4_srv_1_sn_{h}_perc_100000_ol_0_mul_1_app-3A{h}_1",
    "flash={%22type%22:%22ok%22%2C%22text%22:%22{e}%22}; _shopify_y={g}; cart_sig={h}; keep_alive={g}; secure_customer_sig=",
];

const PATHS: &[&str] = &[
    "/.well-known/acme-challenge/{t}",
    "/.well-known/apple-app-site-association",
    "/.well-known/openid-configuration",
    "/.well-known/assetlinks.json",
    "/_next/data/{t}/en/products/[slug].json?slug={s}",
    "/_next/static/chunks/app/(shop)/[lang]/@modal/(.)photo/[id]/page-{h}.js",
    "/assets/@babel/runtime/helpers/{s}.{h}.js",
    "/node_modules/.vite/deps/chunk-{t}.js?v={h}",
    "/npm/@scope/pkg@1.2.3/dist/index.min.js",
    "/gh/{t}/{t}@main/dist/css/style.css",
    "/maps/place/{q}/@52.5200,13.4050,17z/data=!3m1!4b1!4m6!3m5!1s0x{h}:0x{h}!8m2!3d52.5!4d13.4",
    "/wiki/O%27Reilly_(disambiguation)",
    "/wiki/C%2B%2B;_a_history",
    "/wiki/Who%3F_What%3F_%22Quotes%22_%26_more",
    "/title/it's-a-wonderful-life-{d}",
    "/s/{q}/?ref=nb_sb_noss&k={q}",
    "/i/{h}/fit-in/300x300/filters:quality(80):format(webp)/https://{o}/{s}.jpg",
    "/insecure/rs:fill:300:400:0/g:sm/plain/https://{o}/{s}.jpg@webp",
    "/image/upload/w_300,h_300,c_fill,g_face,q_auto,f_auto/v{d}/{s}.jpg",
    "/cdn-cgi/image/width=80,quality=75/https://{o}/{s}.png",
    "/ddm/activity/src={d};type=invmedia;cat={t};dc_lat=;dc_rdid=;tag_for_child_directed_treatment=;tfua=;npa=;gdpr=${GDPR};gdpr_consent=${GDPR_CONSENT_755};ord=1?",
    "/b/ss/acct/1/JS-2.22.0-LDQM/s{d}?AQB=1",
    "/{o}/{s}/select-your-plan/order/by-phone",
    "/blog/2024/01/how-to-drop-a-table-and-insert-a-new-one",
    "/download/setup-1.2.3.tar.gz",
    "/files/{s}.sql.html",
    "/repo/src/commit/{h}/config/database.yml.example",
    "/{t}/-/blob/main/.gitlab-ci.yml",
    "/{t}/{t}/blob/main/.github/workflows/ci.yml",
    "/{t}/{t}/tree/main/.vscode",
    "/api/v1/users/me/.json",
    "/r/programming/.json?limit=10",
    "/r/AskReddit/comments/{t}/what's_your_best/.compact",
    "/api/items(guid'{g}')/children?$expand=a",
    "/_api/web/lists/GetByTitle('Documents')/items?$select=Title&$filter=Id%20eq%20{d}",
    "/sites/x/_layouts/15/Doc.aspx?sourcedoc=%7B{g}%7D&action=edit",
    "/v1/AUTH_{h}/container/{s}%20(1).pdf?temp_url_sig={h}",
    "/proxy/https/{o}/a/b",
    "/umbraco/backoffice/UmbracoApi/Content/GetById?id={d}",
    "/wp-json/wp/v2/posts?_fields=id,title&search={q}",
    "/wp-content/uploads/2024/01/{s}-scaled.jpg",
    "/phpmyadmin-alternative-guide",
    "/web/20240101101112/https://{o}/{s}",
    "/~jane/papers/{s}.pdf",
    "/a/b/../c/./d",
    "/files/...and-justice-for-all.mp3",
    "/docs/etc/hosts-file-explained",
    "/man/proc.5.html",
    "/search/select%20from%20list",
    "/tag/%23rock%27n%27roll",
    "/locales/en/translation.json?cb={d}",
    "/hls/{h}/seg-{d}-f1-v1-a1.ts?hdnts=st={d}~exp={d}~acl=/*~hmac={h}",
    "/dash/{t}/range/0-{d}?r1=--&r2={t}",
    "/fonts/{s}.woff2?#iefix",
];

/// Fills the holes of a pattern.
fn fill(pattern: &str, random: &mut Random) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        let hole = rest.get(at..at + 3).unwrap_or_default();
        let text = match hole {
            "{q}" => form(random.search()),
            "{e}" => encode(random.search()),
            "{u}" => encode(&format!(
                "https://{}/{}?a={}&b={}",
                random.pick(HOSTS),
                slug(random),
                form(random.search()),
                random.hex(6)
            )),
            "{h}" => random.hex(16),
            "{d}" => random.digits(6),
            "{t}" => random.token(16),
            "{b}" => random.base64(60).replace(['+', '/'], "A"),
            "{g}" => random.uuid(),
            "{o}" => random.pick(HOSTS).to_owned(),
            "{s}" => slug(random),
            "{j}" => json(random.search()).trim_matches('"').to_owned(),
            "{x}" => {
                random.search().replace('&', "&amp;").replace('<', "&lt;").replace("]]", "] ]")
            }
            _ => {
                out.push('{');
                rest = &rest[at + 1..];
                continue;
            }
        };
        out.push_str(&text);
        rest = &rest[at + 3..];
    }
    out + rest
}

fn get(random: &mut Random) -> Draft {
    let pattern = random.pick(QUERIES);
    let query = fill(pattern, random);
    Draft::get(format!("/{}?{query}", slug(random)))
}

fn post(random: &mut Random) -> Draft {
    let (kind, pattern) = CONTENTS[random.below(CONTENTS.len())];
    Draft::post(format!("/{}", slug(random)), kind, fill(pattern, random))
}

fn code(random: &mut Random) -> Draft {
    let (kind, pattern) = CODE[random.below(CODE.len())];
    Draft::post(format!("/{}", slug(random)), kind, fill(pattern, random))
}

fn cookie(random: &mut Random) -> Draft {
    let cookie = fill(random.pick(COOKIES), random);
    Draft::get(format!("/{}", slug(random))).with("cookie", cookie)
}

fn path(random: &mut Random) -> Draft {
    Draft::get(fill(random.pick(PATHS), random).replace(['"', '<', '>'], ""))
}

/// Texts that people wrote, two together, in a place that other templates use for short ones.
fn compose(random: &mut Random) -> Draft {
    let texts: Vec<&str> = super::texts().collect();
    let (a, b) = (random.pick(&texts), random.pick(&texts));
    let both = format!("{a}\n\n{b}");
    match random.below(6) {
        0 => Draft::post(
            "/api/notes",
            "application/json",
            format!(
                "{{\"note\":{},\"html\":{}}}",
                json(&both),
                json(&format!(
                    "<p>{}</p><p>{}</p>",
                    a.replace('<', "&lt;"),
                    b.replace('<', "&lt;")
                ))
            ),
        ),
        1 => Draft::post(
            "/post",
            "application/x-www-form-urlencoded",
            format!("title={}&body={}", form(&a.chars().take(60).collect::<String>()), form(&both)),
        ),
        2 => Draft::post(
            "/comment",
            "multipart/form-data; boundary=----WebKitFormBoundaryx",
            format!(
                "------WebKitFormBoundaryx\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n{both}\r\n------WebKitFormBoundaryx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"my photo (1).jpg\"\r\nContent-Type: image/jpeg\r\n\r\n\u{FFFD}JFIF {}\r\n------WebKitFormBoundaryx--\r\n",
                random.noise(300)
            ),
        ),
        3 => Draft::post("/mail", "text/plain", format!("> {}\n\n{b}", a.replace('\n', "\n> "))),
        4 => Draft::post(
            "/graphql",
            "application/json",
            format!(
                "{{\"query\":\"mutation($t: String!) {{ post(text: $t) {{ id }} }}\",\"variables\":{{\"t\":{}}}}}",
                json(&both)
            ),
        ),
        _ => Draft::get(format!(
            "/translate?sl=auto&tl=en&q={}",
            encode(&both.chars().take(400).collect::<String>())
        )),
    }
}
