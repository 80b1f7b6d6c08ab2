package compat;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.kafka.common.utils.AppInfoParser;

/**
 * One JVM for all Java tests. Reads one JSON request per line, does it, answers one JSON
 * line; requests run one after the other, since Kafka's tools own System.in, out and err.
 *
 * <ul>
 * <li>{@code {"list": true}}: {@code scenarios}, the names of all, and the clients' {@code version};
 * <li>{@code {"tool": class, "args": [..], "stdin": text}}: {@code exit, out, err};
 * <li>{@code {"scenario": name, "bootstrap": .., "topic": .., "settings": {..}}}:
 *     {@code ok}, or {@code failure} with the stack trace.
 * </ul>
 *
 * Lines on stdout that are not JSON (a thread dump after SIGQUIT) are for the log.
 */
public final class Driver {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Driver() {}

    public static void main(String[] args) throws Exception {
        PrintStream answers = System.out;
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        // A stray print of a client thread must not look like an answer.
        System.setOut(System.err);
        String line;
        while ((line = requests.readLine()) != null) {
            ObjectNode answer;
            try {
                answer = perform(JSON.readTree(line));
            } catch (Throwable failure) {
                answer = JSON.createObjectNode().put("failure", stackTrace(failure));
            }
            answers.println(JSON.writeValueAsString(answer));
            answers.flush();
        }
        System.exit(0);
    }

    private static ObjectNode perform(JsonNode request) throws Throwable {
        ObjectNode answer = JSON.createObjectNode();
        if (request.has("tool")) {
            List<String> args = new ArrayList<>();
            request.get("args").forEach(a -> args.add(a.asText()));
            Tools.Result result = Tools.run(
                request.get("tool").asText(), args.toArray(new String[0]), request.path("stdin").asText(""));
            return answer.put("exit", result.exit()).put("out", result.out()).put("err", result.err());
        }
        if (request.has("scenario")) {
            Context context = new Context(
                request.get("bootstrap").asText(), request.get("topic").asText(), request.path("brokers").asInt(1));
            Scenarios.run(request.get("scenario").asText(), context);
            context.lines().forEach(answer.putArray("lines")::add);
            return answer.put("ok", true);
        }
        Scenarios.names().forEach(answer.putArray("scenarios")::add);
        answer.put("version", AppInfoParser.getVersion());
        return answer;
    }

    private static String stackTrace(Throwable failure) {
        StringWriter text = new StringWriter();
        failure.printStackTrace(new PrintWriter(text));
        return text.toString();
    }
}
