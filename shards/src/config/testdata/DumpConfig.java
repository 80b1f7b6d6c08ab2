// Prints Apache Kafka's settings as facts: scope, name, type, default, internal, how a running
// broker lets it change, range. To renew settings.tsv for another version of Kafka, with the jars
// of org.apache.kafka:kafka_2.13 and what it depends on in lib/:
//   java -cp 'lib/*' DumpConfig.java > settings.tsv
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.server.config.DynamicBrokerConfig;
import org.apache.kafka.storage.internals.log.LogConfig;

public class DumpConfig {
    static Set<String> perBroker() throws ReflectiveOperationException {
        var field = DynamicBrokerConfig.class.getDeclaredField("PER_BROKER_CONFIGS");
        field.setAccessible(true);
        @SuppressWarnings("unchecked")
        var names = (Set<String>) field.get(null);
        return names;
    }

    static String update(String scope, String name) throws ReflectiveOperationException {
        if (scope.equals("topic")) return "-";
        if (!DynamicBrokerConfig.ALL_DYNAMIC_CONFIGS.contains(name)) return "read-only";
        return perBroker().contains(name) ? "per-broker" : "cluster-wide";
    }

    static void print(String scope, ConfigDef definition) throws ReflectiveOperationException {
        for (String name : new TreeSet<>(definition.names())) {
            var key = definition.configKeys().get(name);
            String value = !key.hasDefault() ? "<none>"
                : key.defaultValue == null ? "<null>"
                : ConfigDef.convertToString(key.defaultValue, key.type);
            String range = key.validator == null ? "" : key.validator.toString();
            System.out.println(String.join("\t", scope, name, key.type.toString(), value,
                key.internalConfig ? "internal" : "", update(scope, name), range));
        }
    }

    public static void main(String[] arguments) throws ReflectiveOperationException {
        print("broker", kafka.server.KafkaConfig.configDef());
        print("topic", LogConfig.configDefCopy());
    }
}
