"""Spanish."""

from functions.vault.oauth.visit_outcome import SUBJECT_MISMATCH

APPLICATION = {
    "application": ("$application", "la aplicación"),
}

PAGES = {
    "connected": (
        "Su cuenta está conectada",
        "Su cuenta de $provider está conectada. Puede cerrar esta ventana.",
        "A partir de ahora, $application puede usar la cuenta con los permisos que usted le ha concedido. Usted puede retirarlos en cualquier momento, en $application o en $provider.",
    ),
    "already": (
        "Este enlace ya se ha usado",
        "Este enlace para conectar su cuenta de $provider ya se ha usado y solo funciona una vez. Esta vez no se ha cambiado nada.",
        "Si conectó su cuenta con él, puede cerrar esta ventana. Si no, vuelva a $application y empiece de nuevo desde allí.",
    ),
    "unfinished": (
        "Conectando su cuenta",
        "Todavía estamos esperando a que $provider termine de conectar su cuenta. Tardará unos segundos.",
        "No tiene que hacer nada: esta página mostrará el resultado en cuanto esté disponible.",
    ),
    "waiting": (
        "Espere un momento",
        "$provider solo admite unas pocas solicitudes a la vez y ahora está ocupado con otras. La suya se atenderá enseguida.",
        "Mientras espera, no se pierde ni se repite nada.",
    ),
    "denied": (
        "Ha denegado el acceso",
        "Ha denegado el acceso a su cuenta de $provider, así que no se ha conectado nada.",
        "No se ha guardado nada. Si esta cuenta ya estaba conectada, esa conexión sigue igual.",
        "Si es lo que quería, puede cerrar esta ventana.",
    ),
    "expired": (
        "Este enlace ha caducado",
        "Un enlace para conectar una cuenta debe abrirse en un plazo de 10 minutos y usarse en un plazo de 40, y solo funciona unas pocas veces. El de $provider ya no es válido.",
        "No se ha cambiado nada.",
        "Vuelva a $application y empiece de nuevo desde allí.",
    ),
    "failed": (
        "No se ha podido conectar su cuenta",
        "Su cuenta de $provider no se ha conectado. $reason",
        "No se ha concedido ningún acceso nuevo. Si esta cuenta ya estaba conectada, esa conexión sigue igual.",
    ),
    "refused": (
        "Vuelva a empezar, por favor",
        "La respuesta del proveedor no corresponde a ningún intento de conexión iniciado en este navegador. No se ha cambiado nada.",
        "Esto ocurre cuando la página se abre en otro navegador o en una ventana privada, cuando un intento más reciente ha sustituido a este o cuando las cookies están bloqueadas.",
        "Vuelva a $application e inténtelo de nuevo en el mismo navegador y con las cookies permitidas. Si no quería conectar ninguna cuenta, puede cerrar esta ventana.",
    ),
    "no_longer_shown": (
        "Este resultado ya no se muestra",
        "El resultado de un intento de conexión se muestra durante 10 minutos y solo en el navegador en el que se hizo. Al abrir esta página no se ha cambiado nada.",
        "Vuelva a $application para comprobar si su cuenta está conectada.",
    ),
    "not_connected": (
        "No se ha conectado nada",
        "La respuesta recibida no indica a qué conexión corresponde, así que no se ha conectado ni cambiado nada.",
        "Si ha denegado el acceso, no tiene que hacer nada más. Si no, el enlace con el que ha llegado sigue funcionando.",
    ),
    "begin_here": (
        "Continúe en $application",
        "Para conectar su cuenta, primero inicie sesión en $application y conéctela desde allí. Por ahora no se ha conectado nada.",
    ),
    "invalid_link": (
        "Este enlace no funciona",
        "Este enlace para conectar una cuenta está incompleto o no lo reconocemos. No se ha cambiado nada.",
        "Puede que se haya cortado al copiarlo o que sea antiguo.",
        "Abra de nuevo el enlace completo o vuelva a $application y empiece desde allí.",
    ),
    "forbidden": (
        "Esta no es la dirección correcta",
        "Estas páginas están en otra dirección. No se ha cambiado nada.",
        "Vuelva a $application y empiece de nuevo desde allí.",
    ),
    "method_not_allowed": (
        "Esta página solo se abre desde un enlace",
        "Su navegador la ha solicitado de otra manera. No se ha cambiado nada.",
        "Vuelva a $application y empiece de nuevo desde allí.",
    ),
    "error": (
        "Se ha producido un error",
        "Es un fallo nuestro; usted no ha hecho nada mal.",
        "Puede haber ocurrido antes o después de que se conectara su cuenta: vuelva a $application para comprobarlo.",
        "Si su cuenta no aparece conectada allí, inténtelo de nuevo dentro de unos minutos.",
    ),
}

ACCOUNT_CONNECTED = "Su cuenta $account de $provider está conectada. Puede cerrar esta ventana."

REASONS = {
    "provider_unavailable": "El proveedor no ha respondido como se esperaba. Suele resolverse en poco tiempo.",
    "provider_throttled": "El proveedor está recibiendo demasiadas solicitudes. Espere un minuto e inténtelo de nuevo.",
    **dict.fromkeys(
        ("provider_misconfigured", "invalid_scope", "unauthorized_client", "unsupported_response_type"),
        "El proveedor no acepta la configuración de esta aplicación. Tiene que corregirla el responsable de la aplicación.",
    ),
    "unknown_provider": "El proveedor ya no está configurado aquí. Tiene que corregirlo el responsable de la aplicación.",
    "temporarily_unavailable": "Un servicio que necesitamos no ha respondido. Suele resolverse en poco tiempo.",
    "reauthorization_required": "El proveedor ya no ha aceptado la autorización concedida, quizá porque llegó demasiado tarde.",
    "invalid_request": "El proveedor ha considerado que la solicitud era demasiado antigua o estaba incompleta.",
    SUBJECT_MISMATCH: "Hasta ahora estaba conectada otra cuenta de este proveedor. Inicie sesión allí con esa cuenta e inténtelo de nuevo.",
}

OTHER_REASON = "El proveedor ha comunicado un error en lugar de una autorización."

TRY_AGAIN = "Volver a intentarlo"
CHECK_AGAIN = "Comprobar de nuevo"
GO_ON = "Ir a $application"
START_AGAIN = "Para intentarlo de nuevo, vuelva a $application y empiece desde allí."

HELP = (
    "Si necesita ayuda, póngase en contacto con $support e indique esta referencia: $reference",
    "Si necesita ayuda, indique esta referencia a los responsables de $application: $reference",
)

FOOTER = "Esta página es de Gatehouse, que gestiona la conexión entre su cuenta y $application."
