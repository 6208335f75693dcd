import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.ExtendedSSLSession;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SNIHostName;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSession;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/**
 * A peer of handfast made of Java's JSSE: one connection, as client or as server, between standard input and output.
 *
 * <p>What there is to say goes to standard error, one JSON object a line: {"port": ...} once a server listens, the facts
 * of the handshake, and at the end {"end": "clean"} or {"error": ..., "alert": ...}, with the alert that came.
 *
 * <p>Options are name=value; those of JSSE itself are system properties (-Djdk.tls.namedGroups=...).
 */
public final class Peer {
    private static final char[] NO_PASSWORD = new char[0];
    private static final Pattern PEM = Pattern.compile("-----BEGIN [^-]+-----([^-]+)-----END");
    private static final Pattern ALERT = Pattern.compile("Received fatal alert: (\\w+)");

    private final Map<String, String> options = new HashMap<>();

    private Peer(String[] words) {
        for (String word : words) {
            String[] parts = word.split("=", 2);
            options.put(parts[0], parts[1]);
        }
    }

    public static void main(String[] words) {
        try {
            new Peer(words).run();
        } catch (Exception error) {
            fail(error);
        }
        System.exit(0); // the thread that reads standard input may still wait
    }

    private void run() throws Exception {
        if (options.containsKey("keyLimits")) {
            Security.setProperty("jdk.tls.keyLimits", options.get("keyLimits"));
        }
        if ("TLSv1.1".equals(options.get("protocols"))) {
            Security.setProperty("jdk.tls.disabledAlgorithms", "");
        }
        try (SSLSocket socket = options.containsKey("connect") ? connect() : accept()) {
            socket.startHandshake();
            say(facts(socket));
            OutputStream output = socket.getOutputStream(); // a socket that is closed by then would not have it
            Thread talking = new Thread(() -> talk(socket, output));
            talking.setDaemon(true);
            talking.start();
            // The end of standard input is a close_notify; the peer's close_notify ends all.
            copy(socket.getInputStream(), System.out, null);
            socket.shutdownOutput();
        }
        say(Map.of("end", "clean"));
    }

    private void talk(SSLSocket socket, OutputStream output) {
        try {
            copy(System.in, output, options.containsKey("renegotiates") ? socket : null);
            socket.shutdownOutput();
        } catch (Exception error) {
            fail(error);
        }
    }

    // What is not buffered arrives at once: InputStream.transferTo would do the same, but PrintStream has to be flushed.
    // Where a socket is given, it shakes hands anew after the first piece.
    private static void copy(InputStream from, OutputStream to, SSLSocket anew) throws Exception {
        byte[] buffer = new byte[1 << 16];
        for (int size = from.read(buffer); size >= 0; size = from.read(buffer)) {
            to.write(buffer, 0, size);
            to.flush();
            if (anew != null) {
                anew.startHandshake();
                anew = null;
            }
        }
    }

    // --- both sides

    private SSLSocket connect() throws Exception {
        String name = options.get("name");
        Socket raw = new Socket(InetAddress.getLoopbackAddress(), Integer.parseInt(options.get("connect")));
        SSLSocket socket = (SSLSocket) context().getSocketFactory().createSocket(raw, name, raw.getPort(), true);
        SSLParameters parameters = set(socket.getSSLParameters());
        parameters.setServerNames(List.of(new SNIHostName(name))); // JSSE leaves out names without a dot
        parameters.setEndpointIdentificationAlgorithm("HTTPS");
        socket.setSSLParameters(parameters);
        return socket;
    }

    private SSLSocket accept() throws Exception {
        InetAddress here = InetAddress.getLoopbackAddress();
        try (SSLServerSocket listener =
                (SSLServerSocket) context().getServerSocketFactory().createServerSocket(0, 1, here)) {
            SSLParameters parameters = set(listener.getSSLParameters());
            parameters.setUseCipherSuitesOrder(!"client".equals(options.get("order")));
            if ("required".equals(options.get("asks"))) {
                parameters.setNeedClientAuth(true);
            } else if ("optional".equals(options.get("asks"))) {
                parameters.setWantClientAuth(true);
            }
            listener.setSSLParameters(parameters);
            say(Map.of("port", listener.getLocalPort()));
            return (SSLSocket) listener.accept();
        }
    }

    private SSLParameters set(SSLParameters parameters) {
        if (options.containsKey("suites")) {
            parameters.setCipherSuites(options.get("suites").split(","));
        }
        if (options.containsKey("alpn")) {
            parameters.setApplicationProtocols(options.get("alpn").split(","));
        }
        parameters.setProtocols(options.get("protocols").split(","));
        return parameters;
    }

    private SSLContext context() throws Exception {
        KeyStore trusted = emptyStore();
        trusted.setCertificateEntry("root", chain(options.get("roots"))[0]);
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);

        KeyStore own = emptyStore();
        if (options.containsKey("identities")) {
            for (String files : options.get("identities").split(",")) {
                String[] parts = files.split(":");
                own.setKeyEntry("identity " + own.size(), key(parts[1]), NO_PASSWORD, chain(parts[0]));
            }
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance("NewSunX509"); // which chooses by the server's name
        keys.init(own, NO_PASSWORD);

        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    private static KeyStore emptyStore() throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, NO_PASSWORD);
        return store;
    }

    private static Certificate[] chain(String file) throws Exception {
        try (InputStream stream = Files.newInputStream(Path.of(file))) {
            return CertificateFactory.getInstance("X.509").generateCertificates(stream).toArray(new Certificate[0]);
        }
    }

    private static PrivateKey key(String file) throws Exception {
        Matcher found = PEM.matcher(Files.readString(Path.of(file)));
        found.find();
        byte[] encoded = Base64.getMimeDecoder().decode(found.group(1));
        for (String kind : List.of("EC", "RSA", "RSASSA-PSS")) {
            try {
                return KeyFactory.getInstance(kind).generatePrivate(new PKCS8EncodedKeySpec(encoded));
            } catch (GeneralSecurityException error) {
                continue; // not of this kind
            }
        }
        throw new GeneralSecurityException("no kind of key that is known here: " + file);
    }

    // --- what there is to say

    private static Map<String, Object> facts(SSLSocket socket) {
        SSLSession session = socket.getSession();
        Map<String, Object> facts = new LinkedHashMap<>();
        facts.put("version", session.getProtocol());
        facts.put("suite", session.getCipherSuite());
        facts.put("alpn", socket.getApplicationProtocol());
        if (!socket.getUseClientMode() && session instanceof ExtendedSSLSession) {
            ((ExtendedSSLSession) session).getRequestedServerNames().stream()
                    .forEach(name -> facts.put("server_name", ((SNIHostName) name).getAsciiName()));
        }
        return facts;
    }

    private static synchronized void fail(Exception error) {
        Map<String, Object> facts = new LinkedHashMap<>();
        facts.put("error", String.valueOf(error));
        Matcher found = ALERT.matcher(String.valueOf(error.getMessage()));
        if (found.find()) {
            facts.put("alert", found.group(1));
        }
        say(facts);
        Runtime.getRuntime().halt(1);
    }

    private static void say(Map<String, Object> facts) {
        StringBuilder line = new StringBuilder();
        for (Map.Entry<String, Object> fact : facts.entrySet()) {
            line.append(line.length() == 0 ? "{" : ", ").append(quoted(fact.getKey())).append(": ");
            line.append(fact.getValue() instanceof Integer ? fact.getValue() : quoted(fact.getValue()));
        }
        System.err.println(line.append("}"));
    }

    private static String quoted(Object value) {
        return '"' + String.valueOf(value).replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + '"';
    }
}
