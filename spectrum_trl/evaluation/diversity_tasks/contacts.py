"""E-mail addresses and telephone numbers, checked by the packages email-validator and phonenumbers.

Addresses are compared in lower case, as mail providers do; whether a domain exists is not checked. An address
is professional unless its domain belongs to a free mail provider, under any top-level domain (published: by
top-level domain only, so free mail under .com passed, and .net and .io failed).

A telephone number is valid if its area or country code and its length are in use (published: only the layout
of its digits was checked). All common layouts are valid, and different layouts of a number are one answer
(published: different answers).
"""

import re
from collections.abc import Callable
from functools import partial

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from spectrum_trl.evaluation.axis_tasks import DiversityTask, prompted
from spectrum_trl.suite.source import Source

# Names of providers under any top-level domain: yahoo.ca is as free as yahoo.com. Names that companies use
# under other top-level domains are listed in full below.
FREE_MAIL = frozenset(
    """
    126 163 aim aol fastmail freenet gmail gmx googlemail hotmail hushmail icloud laposte libero naver
    outlook posteo proton protonmail rambler rediffmail rocketmail seznam t-online tutanota wanadoo yahoo
    yandex yeah ymail zohomail
    """.split()
)
FREE_MAIL_DOMAINS = frozenset(
    """
    att.net bellsouth.net bigpond.com bk.ru bol.com.br btinternet.com charter.net comcast.net cox.net
    daum.net duck.com earthlink.net free.fr hanmail.net hey.com inbox.com inbox.ru list.ru live.be live.ca
    live.co.uk live.com live.com.au live.de live.fr live.it live.nl mac.com mail.com mail.ru me.com msn.com
    o2.pl optonline.net orange.fr pm.me qq.com sbcglobal.net sina.com sky.com tuta.com tuta.io ukr.net
    uol.com.br verizon.net virgilio.it web.de wp.pl zoho.com
    """.split()
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
    right = region in (None, phonenumbers.region_code_for_number(number))
    return number if right and phonenumbers.is_valid_number(number) else None


def _american(text: str) -> phonenumbers.PhoneNumber | None:
    return _parsed(text, region="US")


def _international(text: str) -> phonenumbers.PhoneNumber | None:
    return _parsed(text, region=None) if text.startswith("+") else None


def _number_form(parsed: Callable[[str], phonenumbers.PhoneNumber | None], text: str) -> str:
    """Return a valid number as ``+``, country code and digits, any other text stripped of white space."""
    number = parsed(text.strip())
    form = phonenumbers.PhoneNumberFormat.E164
    return phonenumbers.format_number(number, form) if number else text.strip()


def _number_task(name: str, parsed: Callable[[str], phonenumbers.PhoneNumber | None]) -> DiversityTask:
    return prompted(
        name,
        rule=lambda text: parsed(text) is not None,
        canonical=partial(_number_form, parsed),
        source=Source(name="phonenumbers", title="the package phonenumbers", licence="Apache-2.0"),
    )


EMAIL_VALIDATOR = Source(name="email_validator", title="the package email-validator", licence="Unlicense")
TASKS = (
    prompted("basic_emails", rule=is_address, canonical=_address, source=EMAIL_VALIDATOR),
    prompted("professional_emails", rule=is_professional, canonical=_address, source=EMAIL_VALIDATOR),
    _number_task("us_phone_numbers", _american),
    _number_task("international_phone_numbers", _international),
)
