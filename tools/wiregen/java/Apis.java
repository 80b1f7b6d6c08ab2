// Prints what Kafka itself says of its APIs, for the tables to be tested against: key, name,
// versions that a broker advertises (or -), then for each version the request's and the
// response's header version.

import org.apache.kafka.common.message.ApiMessageType.ListenerType;
import org.apache.kafka.common.protocol.ApiKeys;

public class Apis {
    public static void main(String[] arguments) {
        for (ApiKeys api : ApiKeys.values()) {
            if (!api.hasValidVersion()) {
                continue;
            }
            StringBuilder line = new StringBuilder().append(api.id).append(' ').append(api.name);
            var advertised = api.inScope(ListenerType.BROKER)
                ? api.toApiVersionForApiResponse(false, ListenerType.BROKER)
                : java.util.Optional.<org.apache.kafka.common.message.ApiVersionsResponseData.ApiVersion>empty();
            line.append(' ').append(
                advertised.map(range -> range.minVersion() + "-" + range.maxVersion()).orElse("-"));
            for (short version : api.allVersions()) {
                line.append(' ').append(version)
                    .append(':').append(api.requestHeaderVersion(version))
                    .append(':').append(api.responseHeaderVersion(version));
            }
            System.out.println(line);
        }
    }
}
