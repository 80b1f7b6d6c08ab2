// Prints Kafka's error codes: name, code, and whether a client may try again.
import org.apache.kafka.common.errors.RetriableException;

public class Errors {
    public static void main(String[] arguments) {
        for (var error : org.apache.kafka.common.protocol.Errors.values()) {
            boolean retriable = error.exception() instanceof RetriableException;
            System.out.println(error.name() + " " + error.code() + " " + retriable);
        }
    }
}
