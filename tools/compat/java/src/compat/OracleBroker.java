package compat;

import java.io.FileInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;

import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import kafka.tools.StorageTool;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.Time;

/**
 * Formats (once) and runs one combined KRaft broker and controller in this JVM, and
 * says {@code READY bootstrap=host:port} on stdout once the broker answers clients.
 * SIGTERM stops it cleanly.
 */
public final class OracleBroker {
    private OracleBroker() {}

    public static void main(String[] args) throws Exception {
        String propertiesFile = args[0];
        String bootstrap = args[1];
        Properties properties = new Properties();
        try (FileInputStream in = new FileInputStream(propertiesFile)) {
            properties.load(in);
        }
        Path logDir = Path.of(properties.getProperty("log.dirs"));
        if (!Files.exists(logDir.resolve("meta.properties"))) {
            int status = StorageTool.execute(
                new String[] {"format", "-t", Uuid.randomUuid().toString(), "-c", propertiesFile, "--standalone"},
                System.err);
            if (status != 0) {
                System.exit(status);
            }
        }
        KafkaRaftServer server = new KafkaRaftServer(new KafkaConfig(properties), Time.SYSTEM);
        server.startup();
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            server.shutdown();
            stopped.countDown();
        }));
        System.out.println("READY bootstrap=" + bootstrap);
        System.out.flush();
        server.awaitShutdown();
        stopped.await();
    }
}
