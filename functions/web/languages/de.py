"""German."""

from functions.vault.oauth.visit_outcome import SUBJECT_MISMATCH

APPLICATION = {
    "application": ("$application", "die Anwendung"),
    "application_dative": ("$application", "der Anwendung"),
    "of_application": ("von $application", "der Anwendung"),
    "to_application": ("zu $application", "zur Anwendung"),
    "at_application": ("bei $application", "in der Anwendung"),
}

PAGES = {
    "connected": (
        "Ihr Konto ist verbunden",
        "Ihr Konto bei $provider ist verbunden. Sie können dieses Fenster schließen.",
        "Ab jetzt kann $application das Konto in dem Umfang nutzen, den Sie erlaubt haben. Sie können die Erlaubnis jederzeit widerrufen, $at_application oder bei $provider.",
    ),
    "already": (
        "Dieser Link wurde bereits verwendet",
        "Dieser Link zum Verbinden Ihres Kontos bei $provider wurde bereits verwendet und funktioniert nur einmal. Diesmal wurde nichts geändert.",
        "Wenn Sie Ihr Konto damit verbunden haben, können Sie dieses Fenster schließen. Wenn nicht, kehren Sie $to_application zurück und beginnen Sie dort von vorn.",
    ),
    "unfinished": (
        "Die Verbindung wird hergestellt",
        "Ihr Konto bei $provider wird gerade verbunden. Das dauert ein paar Sekunden.",
        "Sie müssen nichts weiter tun: Diese Seite zeigt das Ergebnis an, sobald es vorliegt.",
    ),
    "waiting": (
        "Bitte warten Sie einen Moment",
        "$provider nimmt nur wenige Anfragen gleichzeitig an und ist gerade mit anderen beschäftigt. Ihre Anfrage ist gleich an der Reihe.",
        "Dabei geht nichts verloren, und nichts wird doppelt ausgeführt.",
    ),
    "denied": (
        "Sie haben den Zugriff abgelehnt",
        "Sie haben den Zugriff auf Ihr Konto bei $provider abgelehnt. Deshalb wurde nichts verbunden.",
        "Es wurde nichts gespeichert. Falls dieses Konto bereits verbunden war, hat sich daran nichts geändert.",
        "Wenn Sie das so wollten, können Sie dieses Fenster schließen.",
    ),
    "expired": (
        "Dieser Link ist abgelaufen",
        "Ein Link zum Verbinden eines Kontos muss innerhalb von 10 Minuten geöffnet und innerhalb von 40 Minuten verwendet werden, und er funktioniert nur wenige Male. Der Link für $provider ist nicht mehr gültig.",
        "Es wurde nichts geändert.",
        "Kehren Sie $to_application zurück und beginnen Sie dort von vorn.",
    ),
    "failed": (
        "Ihr Konto konnte nicht verbunden werden",
        "Ihr Konto bei $provider wurde nicht verbunden. $reason",
        "Es wurde kein neuer Zugriff eingerichtet. Falls dieses Konto bereits verbunden war, hat sich daran nichts geändert.",
    ),
    "refused": (
        "Bitte beginnen Sie noch einmal",
        "Die Antwort des Anbieters gehört zu keinem Verbindungsversuch, der in diesem Browser begonnen wurde. Es wurde nichts geändert.",
        "Das kommt vor, wenn die Seite in einem anderen Browser oder in einem privaten Fenster geöffnet wird, wenn ein neuerer Versuch diesen ersetzt hat oder wenn Cookies blockiert werden.",
        "Kehren Sie $to_application zurück und versuchen Sie es im selben Browser noch einmal; Cookies müssen dabei erlaubt sein. Wenn Sie kein Konto verbinden wollten, können Sie dieses Fenster schließen.",
    ),
    "no_longer_shown": (
        "Dieses Ergebnis wird nicht mehr angezeigt",
        "Das Ergebnis eines Verbindungsversuchs wird 10 Minuten lang angezeigt, und nur in dem Browser, in dem er stattgefunden hat. Das Öffnen dieser Seite hat nichts geändert.",
        "Kehren Sie $to_application zurück. Dort sehen Sie, ob Ihr Konto verbunden ist.",
    ),
    "not_connected": (
        "Es wurde nichts verbunden",
        "Aus der Antwort geht nicht hervor, zu welcher Verbindung sie gehört. Deshalb wurde nichts verbunden und nichts geändert.",
        "Wenn Sie den Zugriff abgelehnt haben, müssen Sie nichts weiter tun. Andernfalls funktioniert der Link, über den Sie gekommen sind, weiterhin.",
    ),
    "begin_here": (
        "Weiter geht es $at_application",
        "Um Ihr Konto zu verbinden, melden Sie sich zuerst $at_application an und verbinden Sie es dort. Bisher wurde nichts verbunden.",
    ),
    "invalid_link": (
        "Dieser Link funktioniert nicht",
        "Dieser Link zum Verbinden eines Kontos ist unvollständig oder hier nicht bekannt. Es wurde nichts geändert.",
        "Vielleicht wurde er beim Kopieren abgeschnitten, oder er ist veraltet.",
        "Öffnen Sie noch einmal den vollständigen Link, oder kehren Sie $to_application zurück und beginnen Sie dort von vorn.",
    ),
    "forbidden": (
        "Das ist nicht die richtige Adresse",
        "Diese Seiten finden Sie unter einer anderen Adresse. Es wurde nichts geändert.",
        "Kehren Sie $to_application zurück und beginnen Sie dort von vorn.",
    ),
    "method_not_allowed": (
        "Diese Seite lässt sich nur über einen Link öffnen",
        "Ihr Browser hat sie auf andere Weise aufgerufen. Es wurde nichts geändert.",
        "Kehren Sie $to_application zurück und beginnen Sie dort von vorn.",
    ),
    "error": (
        "Bei uns ist etwas schiefgegangen",
        "Der Fehler liegt bei uns; Sie haben nichts falsch gemacht.",
        "Er kann vor oder nach dem Verbinden Ihres Kontos aufgetreten sein. Kehren Sie $to_application zurück und sehen Sie nach, ob es verbunden ist.",
        "Wenn Ihr Konto dort nicht verbunden ist, versuchen Sie es in ein paar Minuten noch einmal.",
    ),
}

ACCOUNT_CONNECTED = "Ihr Konto $account bei $provider ist verbunden. Sie können dieses Fenster schließen."

REASONS = {
    "provider_unavailable": "Der Anbieter hat nicht wie erwartet geantwortet. Das legt sich meist nach kurzer Zeit.",
    "provider_throttled": "Der Anbieter erhält gerade zu viele Anfragen. Warten Sie eine Minute und versuchen Sie es dann noch einmal.",
    **dict.fromkeys(
        ("provider_misconfigured", "invalid_scope", "unauthorized_client", "unsupported_response_type"),
        "Der Anbieter akzeptiert die Einstellungen dieser Anwendung nicht. Das muss der Betreiber der Anwendung korrigieren.",
    ),
    "unknown_provider": "Der Anbieter ist hier nicht mehr eingerichtet. Das muss der Betreiber der Anwendung korrigieren.",
    "temporarily_unavailable": "Ein Dienst, den wir brauchen, hat nicht geantwortet. Das legt sich meist nach kurzer Zeit.",
    "reauthorization_required": "Der Anbieter hat die erteilte Zustimmung nicht mehr akzeptiert, vielleicht weil sie zu spät eintraf.",
    "invalid_request": "Für den Anbieter war die Anfrage zu alt oder unvollständig.",
    SUBJECT_MISMATCH: "Bisher war ein anderes Konto bei diesem Anbieter verbunden. Melden Sie sich dort mit dem bisherigen Konto an und versuchen Sie es dann noch einmal.",
}

OTHER_REASON = "Der Anbieter hat statt einer Zustimmung einen Fehler gemeldet."

TRY_AGAIN = "Erneut versuchen"
CHECK_AGAIN = "Erneut prüfen"
GO_ON = "Weiter $to_application"
START_AGAIN = "Um es noch einmal zu versuchen, kehren Sie $to_application zurück und beginnen Sie dort von vorn."

HELP = (
    "Wenn Sie Hilfe brauchen, wenden Sie sich an $support und nennen Sie diese Referenz: $reference",
    "Wenn Sie Hilfe brauchen, nennen Sie dem Betreiber $of_application diese Referenz: $reference",
)

FOOTER = "Diese Seite kommt von Gatehouse, das die Verbindung zwischen Ihrem Konto und $application_dative verwaltet."
