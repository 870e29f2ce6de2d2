"""E-mail addresses and telephone numbers, checked by the packages email-validator and phonenumbers.

Addresses are compared in lower case, as mail providers do; whether a domain exists is not checked. An address
is professional unless its domain belongs to a free mail provider, under any top-level domain (published: by
top-level domain only, so free mail under .com passed, and .net and .io failed).

A telephone number is valid if its area or country code and its length are in use (published: only the layout
of its digits was checked). All common layouts are valid, and different layouts of a number are one answer
(published: different answers).
"""

import re

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from spectrum_trl.evaluation.diversity_tasks.diversity_task import DiversityTask
from spectrum_trl.suite.source import Source

# Names of providers under any top-level domain: yahoo.ca is as free as yahoo.com. Names that companies use
# under other top-level domains are listed in full below.
FREE_MAIL = frozenset(
    (
        *(
            "126",
            "163",
            "aim",
            "aol",
            "fastmail",
            "freenet",
            "gmail",
            "gmx",
            "googlemail",
            "hotmail",
            "hushmail",
        ),
        *("icloud", "laposte", "libero", "naver", "outlook", "posteo", "proton", "protonmail", "rambler"),
        *("rediffmail", "rocketmail", "seznam", "t-online", "tutanota", "wanadoo", "yahoo", "yandex", "yeah"),
        *("ymail", "zohomail"),
    )
)
FREE_MAIL_DOMAINS = frozenset(
    (
        *("att.net", "bellsouth.net", "bigpond.com", "btinternet.com", "bk.ru", "bol.com.br", "charter.net"),
        *("comcast.net", "cox.net", "daum.net", "duck.com", "earthlink.net", "free.fr", "hanmail.net"),
        *("hey.com", "inbox.com", "inbox.ru", "list.ru", "live.be", "live.ca", "live.co.uk", "live.com"),
        *(
            "live.com.au",
            "live.de",
            "live.fr",
            "live.it",
            "live.nl",
            "mac.com",
            "mail.com",
            "mail.ru",
            "me.com",
        ),
        *("msn.com", "o2.pl", "optonline.net", "orange.fr", "pm.me", "qq.com", "sbcglobal.net", "sina.com"),
        *("sky.com", "tuta.com", "tuta.io", "uol.com.br", "ukr.net", "verizon.net", "virgilio.it", "web.de"),
        *("wp.pl", "zoho.com"),
    )
)
# Maximum length of an address by the standard; longer ones are not parsed.
LONGEST = 254
_NUMBER = re.compile(r"\+?[0-9(][0-9() .\-/\u2010-\u2012]{5,30}")


def _address(text: str) -> str:
    return text.strip().lower()


def is_address(text: str) -> bool:
    """Return whether a text has the form of an e-mail address."""
    if len(text) > LONGEST:
        return False
    try:
        validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        return False
    return True


def is_professional(text: str) -> bool:
    """Return whether a text is an e-mail address outside free mail providers."""
    domain = text.rpartition("@")[2].lower()
    return is_address(text) and domain.partition(".")[0] not in FREE_MAIL and domain not in FREE_MAIL_DOMAINS


def _parsed(text: str, *, region: str | None) -> phonenumbers.PhoneNumber | None:
    # The package finds numbers inside other text; the answer has to be one.
    if not _NUMBER.fullmatch(text):
        return None
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def american(text: str) -> str:
    """Return a valid number of the USA as ``+1`` and ten digits, any other text stripped of white space."""
    number = _parsed(text.strip(), region="US")
    if number is None or phonenumbers.region_code_for_number(number) != "US":
        return text.strip()
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def international(text: str) -> str:
    """Return a valid number as ``+``, country code and digits, any other text stripped of white space."""
    text = text.strip()
    number = _parsed(text, region=None) if text.startswith("+") else None
    if number is None:
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_american(text: str) -> bool:
    """Return whether a text is a telephone number of the USA."""
    number = _parsed(text, region="US")
    return number is not None and phonenumbers.region_code_for_number(number) == "US"


def is_international(text: str) -> bool:
    """Return whether a text is a telephone number with its country code."""
    return text.startswith("+") and _parsed(text, region=None) is not None


EMAIL_VALIDATOR = Source(name="email_validator", title="the package email-validator", licence="Unlicense")
PHONENUMBERS = Source(name="phonenumbers", title="the package phonenumbers", licence="Apache-2.0")
TASKS = (
    DiversityTask(
        name="basic_emails",
        description="An e-mail address",
        examples=("h.okafor@physics.example.edu", "tilda-brook@postbox.net", "marek88@gmail.com"),
        validator=lambda data_dir: is_address,
        canonical=_address,
        universe=None,
        max_new_tokens=40,
        source=EMAIL_VALIDATOR,
    ),
    DiversityTask(
        name="professional_emails",
        description="An e-mail address that somebody uses at work, not one of a free mail provider",
        examples=("anita.rao@northfieldclinic.org", "k.lindqvist@eng.uppland.edu", "press@halvorsen.com"),
        validator=lambda data_dir: is_professional,
        canonical=_address,
        universe=None,
        max_new_tokens=40,
        source=EMAIL_VALIDATOR,
    ),
    DiversityTask(
        name="us_phone_numbers",
        description="A telephone number of the United States",
        examples=("(206) 555-0142", "312-555-0178", "505 555 0119"),
        validator=lambda data_dir: is_american,
        canonical=american,
        universe=None,
        max_new_tokens=20,
        source=PHONENUMBERS,
    ),
    DiversityTask(
        name="international_phone_numbers",
        description="A telephone number of any country, with its country code",
        examples=("+44 20 7946 0123", "+1 206 555 0142", "+49 30 901820"),
        validator=lambda data_dir: is_international,
        canonical=international,
        universe=None,
        max_new_tokens=25,
        source=PHONENUMBERS,
    ),
)
