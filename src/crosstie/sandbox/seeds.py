"""What generated records are made of: people, firms and texts of many languages, chosen to be hard on a client.

Accents, composed and decomposed; right-to-left and ideographic scripts; a Turkish dotted capital I; quotes, commas,
line ends and emoji inside values. Names are common ones, combined at random; nobody real is meant.
"""

import unicodedata

PEOPLE: tuple[tuple[str, tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]], ...] = (
    ("Mr.", (("Jean-Luc", "jeanluc"), ("Zoë", "zoe"), ("François", "francois"), ("Aïcha", "aicha"), ("Noël", "noel")),
     (("O'Brien", "obrien"), ("Lefèvre", "lefevre"), ("d’Aubigné", "daubigne"), ("Müller-Lüdenscheidt", "mueller"))),
    ("Ms.", (("Jürgen", "juergen"), ("Käthe", "kaethe"), ("Sören", "soeren"), ("Anneliese", "anneliese")),
     (("Groß", "gross"), ("Özdemir", "oezdemir"), ("von der Höhe", "vonderhoehe"), ("Weiß, geb. Kühn", "weiss"))),
    ("Mrs.", (("Łukasz", "lukasz"), ("Żaneta", "zaneta"), ("Świętosława", "swietoslawa"), ("Jiří", "jiri")),
     (("Wiśniewska", "wisniewska"), ("Dvořák", "dvorak"), ("Nagy \"Kis\" Ödön", "nagy"), ("Ștefănescu", "stefanescu"))),
    ("Dr.", (("İbrahim", "ibrahim"), ("Işıl", "isil"), ("Çağrı", "cagri"), ("Gülşen", "gulsen")),
     (("Yılmaz", "yilmaz"), ("Şahin", "sahin"), ("Kılıçdağ", "kilicdag"))),
    ("Mr.", (("Ольга", "olga"), ("Юрий", "yuri"), ("Фёдор", "fedor"), ("Всеволод", "vsevolod")),
     (("Щербакова", "scherbakova"), ("Иванов", "ivanov"), ("Соловьёв", "solovyov"), ("Бойко", "boyko"))),
    ("Ms.", (("Αλέξανδρος", "alexandros"), ("Ελένη", "eleni"), ("Γιώργος", "giorgos")),
     (("Παπαδόπουλος", "papadopoulos"), ("Οικονόμου", "oikonomou"), ("Σωτηρίου", "sotiriou"))),
    ("Mr.", (("محمد", "mohammed"), ("فاطمة", "fatima"), ("يوسف", "yousef")),
     (("العلي", "alali"), ("حسن", "hassan"), ("بن سعيد", "binsaid"))),
    ("Prof.", (("דוד", "david"), ("רבקה", "rivka")), (("כהן", "cohen"), ("בן־דוד", "bendavid"))),
    ("Ms.", (("अमित", "amit"), ("प्रिया", "priya"), ("श्रीधर", "shridhar")), (("शर्मा", "sharma"), ("गुप्ता", "gupta"))),
    ("Mr.", (("太郎", "taro"), ("さくら", "sakura"), ("健一", "kenichi")),
     (("山田", "yamada"), ("鈴木", "suzuki"), ("𠮷野", "yoshino"))),
    ("Ms.", (("小明", "xiaoming"), ("建国", "jianguo"), ("麗華", "lihua")),
     (("王", "wang"), ("李", "li"), ("欧阳", "ouyang"))),
    ("Mr.", (("지훈", "jihoon"), ("서연", "seoyeon")), (("김", "kim"), ("박", "park"), ("이", "lee"))),
    ("Mrs.", (("สมชาย", "somchai"), ("มาลี", "malee")), (("ใจดี", "jaidee"), ("ศรีสุข", "srisuk"))),
    ("Mrs.", (("Nguyễn Thị", "nguyenthi"), ("Đặng", "dang")), (("Trần", "tran"), ("Phạm", "pham"))),
    ("Mr.", (("John", "john"), ("Mary Ann", "maryann"), ("Wm. \"Bill\"", "bill"), ("Chloe 🌸", "chloe")),
     (("Smith", "smith"), ("Smith, Jr.", "smithjr"), ("de la Cruz", "delacruz"), ("Null", "null"), ("McDonald", "m"))),
    ("Ms.", ((unicodedata.normalize("NFD", "José"), "jose"), (unicodedata.normalize("NFD", "Ángela"), "angela")),
     ((unicodedata.normalize("NFD", "Muñoz"), "munoz"), ("Ibáñez", "ibanez"))),
)  # fmt: skip
"""Salutation, first names and last names of one language each, every name with its form in an e-mail address."""

CITIES: tuple[tuple[str, str, str, str, str], ...] = (
    ("12, rue de l’Église\r\nBâtiment B", "Saint-Étienne", "Loire", "42000", "France"),
    ("Straße des 17. Juni 135", "Berlin", "Berlin", "10623", "Deutschland"),
    ('ul. Świętokrzyska 8 "Kamienica"', "Łódź", "Łódzkie", "90-001", "Polska"),
    ("Бульвар Тараса Шевченка, 1", "Київ", "Київ", "01030", "Україна"),
    ("İstiklal Caddesi 17", "İstanbul", "İstanbul", "34430", "Türkiye"),
    ("東京都千代田区丸の内1丁目\n9番1号", "千代田区", "東京都", "100-0005", "日本"),
    ("شارع الملك فهد، مبنى 4", "الرياض", "الرياض", "11564", "السعودية"),
    ("Av. Paulista, 1578 — 3º andar", "São Paulo", "SP", "01310-200", "Brasil"),
    ('1 "The Corner", Main St, Apt. 4', "O'Fallon", "MO", "63366", "United States"),
    ("Λεωφόρος Αμαλίας 44", "Αθήνα", "Αττική", "105 58", "Ελλάδα"),
)
"""Street, city, state, postal code, country."""

FIRMS = (
    "Acme", "Müller & Söhne GmbH", "Société Générale de Râpes, S.A.", "Пекарня №1", "株式会社 山田製作所",
    "O'Reilly \"Ink\" Ltd",
    "Łódź Textil sp. z o.o.", "Café Zürich", "شركة النور", "Ελληνική Εταιρεία", "Ångström AB", "北京贸易有限公司",
    "100% Cotton, Inc.",
    "Sigma_Delta", "Rocket 🚀 Labs", "Işık A.Ş.", "Back\\Slash & Co",
)  # fmt: skip

TITLES = (
    "CEO", "Chef de cuisine", "VP, Sales", "Geschäftsführerin", "エンジニア", "Директор", "Head of \"Growth\"", "مهندس",
    "Student/ka", "Buyer – EMEA", "CTO & co-founder", "主任",
)  # fmt: skip
DEPARTMENTS = ("Sales", "Forschung & Entwicklung", "Achats", "営業部", "Legal, Compliance", "Отдел кадров")

TEXTS = (
    "Met at the fair; wants a call back.",
    'Said "never before 10 a.m.", twice.',
    "Line one\r\nLine two, with a comma\r\n\r\nand a paragraph.",
    'Prefers e-mail.\nSecond line ends with a quote"',
    "Größe: 1,5 m – naïve façade, coöperation; tab\there.",
    "Emoji: 😀👩‍👩‍👧‍👦🏳️‍🌈 and a flag 🇫🇷",
    "Знаком с директором. «Перезвонить»",
    "改行\r\nあり、全角スペース　も。",
    "עברית ואנגלית mixed, with RTL mark\u200f.",
    "Combining: e\u0301 a\u0308 n\u0303 versus é ä ñ",
    '\'single\', "double", """triple""", back\\slash, 50% off_',
    "#N/A is not null here",
    ',,,"",\r\n""',
    "=1+1; a formula to some spreadsheets",
    "null",
    "x" * 240,
)
DOMAINS = ("example.com", "example.org", "mail.example.net", "xn--mller-kva.example")
