"""Services of apprise that messages may go to: those that reach people, and those that hand on to what does."""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["FIXED", "HOSTED", "MAIL", "REFUSED_OPTIONS"]

FIXED: Final = frozenset(
    # chat
    "slack discord tgram gchat wxteams webex zulip line guilded revolt twist ryver flock stackfield zoom cliq zcliq zohocliq "
    "lark feishu dingtalk wecombot threema viber whatsapp groupme bsky bluesky reddit "
    # telephones
    "pover pbul prowl join spush simplepush push pushy pushme pushdeer psafer psafers onesignal ifttt chanify schan wxpusher "
    "twilio vonage nexmo msgbird clicksend clickatell d7sms sinch plivo telnyx seven sns bulksms bulkvs voipms smsmgr smsmanager "
    "46elks elks freemobile octopush burstsms kudosity cm exotel msg91 atalk telesign httpsms dapnet "
    # those who are on call
    "pagerduty opsgenie signl4 pagertree splunk victorops ilert incidentio squadcast spike firehydrant "
    # mail, by the interfaces of those who send it
    "mailgun sendgrid ses smtp2go sparkpost postmark brevo resend mailersend sendpulse azure o365".split()
)
"""Schemes whose server is known: no part of the address names one."""

HOSTED: Final[dict[str, Literal["always", "either"]]] = {
    **dict.fromkeys(
        "mailto mailtos json jsons xml xmls form forms apprise apprises mmost mmosts rocket rockets gotify gotifys bark barks "
        "signal signals mastodon mastodons toot toots misskey misskeys nctalk nctalks ncloud nclouds hassio hassios "
        "synology synologys workflow workflows irc ircs goalert goalerts humhub humhubs".split(),
        "always",
    ),
    **dict.fromkeys("ntfy ntfys matrix matrixs".split(), "either"),
}
"""Schemes whose address names a server: always, or it may stand for something else."""

MAIL: Final = frozenset(
    "mailto mailtos mailgun sendgrid ses smtp2go sparkpost postmark brevo resend mailersend sendpulse azure o365".split()
)
"""Those that get HTML."""

REFUSED_OPTIONS: Final = frozenset({"template", "pgp", "pgppub", "pgpprv", "wkd", "keyfile", "subfile", "attach"})
"""Options of addresses that name files, of this server or for somebody to fetch."""
