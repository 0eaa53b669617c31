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
        "Ab jetzt kann $application das Konto in dem Umfang nutzen, den Sie erlaubt haben. Sie können die Erlaubnis jederzeit zurücknehmen, entweder dort oder bei $provider.",
    ),
    "already": (
        "Dieser Link wurde schon benutzt",
        "Dieser Link zum Verbinden Ihres Kontos bei $provider wurde schon benutzt und funktioniert nur einmal. Diesmal wurde nichts geändert.",
        "Wenn Sie Ihr Konto damit verbunden haben, können Sie dieses Fenster schließen. Wenn nicht, gehen Sie zurück $to_application und beginnen Sie dort.",
    ),
    "unfinished": (
        "Die Verbindung wird hergestellt",
        "Wir warten noch darauf, dass $provider die Verbindung zu Ihrem Konto abschließt. Das dauert ein paar Sekunden.",
        "Sie müssen nichts tun: Diese Seite zeigt das Ergebnis, sobald es da ist.",
    ),
    "waiting": (
        "Bitte warten Sie einen Moment",
        "$provider nimmt nur wenige Anfragen gleichzeitig an und ist gerade mit anderen beschäftigt. Ihre ist gleich an der Reihe.",
        "Durch das Warten geht nichts verloren, und nichts geschieht doppelt.",
    ),
    "denied": (
        "Sie haben den Zugriff abgelehnt",
        "Sie haben den Zugriff auf Ihr Konto bei $provider abgelehnt. Deshalb wurde nichts verbunden.",
        "Es wurde nichts gespeichert. Wenn dieses Konto schon verbunden war, hat sich daran nichts geändert.",
        "Wenn das so gewollt war, können Sie dieses Fenster schließen.",
    ),
    "expired": (
        "Dieser Link ist abgelaufen",
        "Ein Link zum Verbinden eines Kontos muss innerhalb von 10 Minuten geöffnet und innerhalb von 40 Minuten benutzt werden, und er funktioniert nur wenige Male. Der Link für $provider ist nicht mehr gültig.",
        "Es wurde nichts geändert.",
        "Gehen Sie zurück $to_application und beginnen Sie dort noch einmal.",
    ),
    "failed": (
        "Ihr Konto konnte nicht verbunden werden",
        "Ihr Konto bei $provider wurde nicht verbunden. $reason",
        "Es gibt keinen neuen Zugriff darauf. Wenn dieses Konto schon verbunden war, hat sich daran nichts geändert.",
    ),
    "refused": (
        "Bitte beginnen Sie noch einmal",
        "Die Antwort gehört zu keiner Verbindung, die in diesem Browser begonnen wurde. Es wurde nichts geändert.",
        "Das kommt vor, wenn die Seite in einem anderen Browser oder in einem privaten Fenster geöffnet wird, wenn ein neuerer Versuch diesen ersetzt hat oder wenn Cookies blockiert sind.",
        "Gehen Sie zurück $to_application und versuchen Sie es noch einmal, im selben Browser und mit erlaubten Cookies. Wenn Sie nichts begonnen haben, können Sie dieses Fenster schließen.",
    ),
    "no_longer_shown": (
        "Dieses Ergebnis wird nicht mehr angezeigt",
        "Wie das Verbinden eines Kontos ausgegangen ist, wird 10 Minuten lang angezeigt, und nur in dem Browser, in dem es versucht wurde. Durch das Öffnen dieser Seite wurde nichts geändert.",
        "Gehen Sie zurück $to_application. Dort sehen Sie, ob Ihr Konto verbunden ist.",
    ),
    "not_connected": (
        "Es wurde nichts verbunden",
        "Aus der Antwort geht nicht hervor, zu welcher Verbindung sie gehört. Deshalb wurde nichts verbunden und nichts geändert.",
        "Wenn Sie den Zugriff abgelehnt haben, müssen Sie nichts weiter tun. Andernfalls können Sie den Link, mit dem Sie gekommen sind, weiter benutzen.",
    ),
    "begin_here": (
        "Weiter geht es $at_application",
        "Um Ihr Konto zu verbinden, melden Sie sich zuerst $at_application an und verbinden Sie es dort. Bisher wurde nichts verbunden.",
    ),
    "invalid_link": (
        "Dieser Link funktioniert nicht",
        "Dieser Link zum Verbinden eines Kontos ist unvollständig oder hier nicht bekannt. Es wurde nichts geändert.",
        "Vielleicht wurde er beim Kopieren abgeschnitten, oder er ist schon alt.",
        "Öffnen Sie noch einmal den ganzen Link, oder gehen Sie zurück $to_application und beginnen Sie dort.",
    ),
    "forbidden": (
        "Das ist nicht die richtige Adresse",
        "Diese Seiten haben eine andere Adresse. Es wurde nichts geändert.",
        "Gehen Sie zurück $to_application und beginnen Sie dort noch einmal.",
    ),
    "method_not_allowed": (
        "Diese Seite lässt sich nur über einen Link öffnen",
        "Ihr Browser hat sie auf andere Weise aufgerufen. Es wurde nichts geändert.",
        "Gehen Sie zurück $to_application und beginnen Sie dort noch einmal.",
    ),
    "error": (
        "Bei uns ist etwas schiefgegangen",
        "Der Fehler liegt bei uns; Sie haben nichts falsch gemacht.",
        "Er kann vor oder nach dem Verbinden Ihres Kontos aufgetreten sein: Gehen Sie zurück $to_application, dann sehen Sie es.",
        "Wenn Ihr Konto dort nicht verbunden ist, versuchen Sie es in ein paar Minuten noch einmal.",
    ),
}

ACCOUNT_CONNECTED = "Ihr Konto $account bei $provider ist verbunden. Sie können dieses Fenster schließen."

REASONS = {
    "provider_unavailable": "Der Anbieter hat nicht wie erwartet geantwortet. Das gibt sich meist nach kurzer Zeit.",
    "provider_throttled": "Der Anbieter bekommt gerade zu viele Anfragen. Warten Sie eine Minute und versuchen Sie es dann noch einmal.",
    **dict.fromkeys(
        ("provider_misconfigured", "invalid_scope", "unauthorized_client", "unsupported_response_type"),
        "Der Anbieter akzeptiert die Einstellungen dieser Anwendung nicht. Das muss ihr Betreiber korrigieren.",
    ),
    "unknown_provider": "Der Anbieter ist hier nicht mehr eingerichtet. Das muss der Betreiber der Anwendung korrigieren.",
    "temporarily_unavailable": "Ein Dienst, den wir brauchen, hat nicht geantwortet. Das gibt sich meist nach kurzer Zeit.",
    "reauthorization_required": "Der Anbieter hat seine eigene Zustimmung nicht anerkannt, vielleicht weil sie zu spät kam.",
    "invalid_request": "Für den Anbieter war die Anfrage zu alt oder unvollständig.",
    SUBJECT_MISMATCH: "Die Verbindung bestand bisher zu einem anderen Konto beim Anbieter. Melden Sie sich dort mit jenem Konto an und versuchen Sie es dann noch einmal.",
}

OTHER_REASON = "Der Anbieter hat statt einer Zustimmung einen Fehler gemeldet."

TRY_AGAIN = "Noch einmal versuchen"
CHECK_AGAIN = "Noch einmal nachsehen"
GO_ON = "Weiter $to_application"
START_AGAIN = "Um es noch einmal zu versuchen, gehen Sie zurück $to_application und beginnen Sie dort."

HELP = (
    "Wenn Sie Hilfe brauchen, wenden Sie sich an $support und nennen Sie diese Referenz: $reference",
    "Wenn Sie Hilfe brauchen, nennen Sie den Betreibern $of_application diese Referenz: $reference",
)

FOOTER = "Diese Seite kommt von Gatehouse. Es verwaltet die Verbindung zwischen Ihrem Konto und $application_dative."
