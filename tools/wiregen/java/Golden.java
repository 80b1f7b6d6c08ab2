// Writes messages with Kafka's own serialisation, for the codecs to be tested against.
//
// Input: lines of a schema's name and its generated class. Output, gzipped: lines of the name, a
// version, and the message's bytes in hex; several messages for each version: the default (where
// it can be written), one with every field set, and some at random. The same each time.

import java.lang.reflect.Field;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.Scanner;
import java.util.zip.GZIPOutputStream;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;

public class Golden {
    static final int RANDOM_MESSAGES = 2;
    static final String[] STRINGS = {"", "a", "orders", "zażółć gęślą 𝕜", "x".repeat(127), "y".repeat(128)};

    final Random random;
    // Whether every field is set, to something that is not its default, or chance decides.
    final boolean full;

    Golden(long seed, boolean full) {
        this.random = new Random(seed);
        this.full = full;
    }

    public static void main(String[] arguments) throws Exception {
        List<String[]> messages = new ArrayList<>();
        Scanner input = new Scanner(System.in, StandardCharsets.UTF_8);
        while (input.hasNextLine()) {
            messages.add(input.nextLine().split(" "));
        }
        StringBuilder lines = new StringBuilder();
        for (String[] message : messages) {
            Class<?> type = Class.forName(message[1]);
            short first = (short) type.getField("LOWEST_SUPPORTED_VERSION").get(null);
            short last = (short) type.getField("HIGHEST_SUPPORTED_VERSION").get(null);
            for (short version = first; version <= last; version++) {
                for (int variant = 0; variant < 2 + RANDOM_MESSAGES; variant++) {
                    byte[] bytes = write(message[0], type, version, variant);
                    if (bytes != null) {
                        lines.append(message[0]).append(' ').append(version).append(' ')
                            .append(HexFormat.of().formatHex(bytes)).append('\n');
                    }
                }
            }
        }
        try (GZIPOutputStream output = new GZIPOutputStream(System.out)) {
            output.write(lines.toString().getBytes(StandardCharsets.UTF_8));
        }
    }

    static byte[] write(String name, Class<?> type, short version, int variant) throws Exception {
        Message message;
        if (variant == 0) {
            message = (Message) type.getConstructor().newInstance();
        } else {
            Schema schema = ((Schema[]) type.getField("SCHEMAS").get(null))[version];
            long seed = 31L * (31L * name.hashCode() + version) + variant;
            message = (Message) new Golden(seed, variant == 1).structure(type, schema, 0);
        }
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer;
        try {
            buffer = ByteBuffer.allocate(message.size(cache, version));
        } catch (NullPointerException nullIsNotWritable) {
            if (variant != 0) {
                throw nullIsNotWritable;
            }
            return null;
        }
        message.write(new ByteBufferAccessor(buffer), cache, version);
        if (buffer.hasRemaining()) {
            throw new IllegalStateException(name + " is shorter than it said");
        }
        return buffer.array();
    }

    Object structure(Class<?> type, Schema schema, int depth) throws Exception {
        Object object = type.getConstructor().newInstance();
        for (BoundField field : schema.fields()) {
            if (field.def.type instanceof TaggedFields tagged) {
                for (var inner : tagged.fields().values()) {
                    if (full || random.nextBoolean()) {
                        set(object, inner.name, inner.type, depth);
                    }
                }
            } else {
                set(object, field.def.name, field.def.type, depth);
            }
        }
        return object;
    }

    void set(Object object, String name, Type type, int depth) throws Exception {
        Field field = field(object.getClass(), name);
        field.setAccessible(true);
        field.set(object, value(field.getType(), field, type, depth));
    }

    static Field field(Class<?> type, String name) {
        String plain = name.replace("_", "");
        for (Field field : type.getDeclaredFields()) {
            if (field.getName().equalsIgnoreCase(plain)) {
                return field;
            }
        }
        throw new IllegalStateException(type + " has no field " + name);
    }

    Object value(Class<?> target, Field field, Type type, int depth) throws Exception {
        if (type.isNullable() && !full && random.nextInt(3) == 0) {
            return null;
        }
        if (type.isArray()) {
            return array(target, field, type.arrayElementType().get(), depth);
        }
        if (type instanceof Schema schema) {
            return structure(target, schema, depth + 1);
        }
        return scalar(target, type);
    }

    @SuppressWarnings("unchecked")
    Object array(Class<?> target, Field field, Type elementType, int depth) throws Exception {
        // A collection with keys names its element in its superclass, a list in the field.
        boolean isList = target == List.class;
        ParameterizedType generic = (ParameterizedType)
            (isList ? field.getGenericType() : target.getGenericSuperclass());
        Class<?> element = (Class<?>) generic.getActualTypeArguments()[0];
        Collection<Object> collection = isList ? new ArrayList<>()
            : (Collection<Object>) target.getConstructor().newInstance();
        int size = full ? (depth < 2 ? 2 : 1) : random.nextInt(3);
        for (int i = 0; i < size; i++) {
            if (elementType instanceof Schema schema) {
                collection.add(structure(element, schema, depth + 1));
            } else {
                collection.add(scalar(element, elementType));
            }
        }
        return collection;
    }

    Object scalar(Class<?> target, Type type) {
        if (target == boolean.class) {
            return full || random.nextBoolean();
        } else if (target == byte.class || target == Byte.class) {
            return (byte) number(Byte.MIN_VALUE, Byte.MAX_VALUE);
        } else if (target == short.class || target == Short.class) {
            return (short) number(Short.MIN_VALUE, Short.MAX_VALUE);
        } else if (type == Type.UINT16) {
            return (int) number(0, 0xffff);
        } else if (type == Type.UNSIGNED_INT32) {
            return number(0, 0xffffffffL);
        } else if (target == int.class || target == Integer.class) {
            return (int) number(Integer.MIN_VALUE, Integer.MAX_VALUE);
        } else if (target == long.class || target == Long.class) {
            return number(Long.MIN_VALUE, Long.MAX_VALUE);
        } else if (target == double.class) {
            return random.nextGaussian();
        } else if (target == Uuid.class) {
            return new Uuid(random.nextLong(), random.nextLong());
        } else if (target == String.class) {
            return full ? "s" + random.nextInt(100) : STRINGS[random.nextInt(STRINGS.length)];
        } else if (target == byte[].class) {
            return bytes();
        } else if (target == ByteBuffer.class) {
            return ByteBuffer.wrap(bytes());
        } else if (target.getSimpleName().equals("BaseRecords")) {
            return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes()));
        }
        throw new IllegalStateException("no value for " + target);
    }

    long number(long min, long max) {
        return switch (full ? 3 : random.nextInt(4)) {
            case 0 -> min;
            case 1 -> max;
            case 2 -> 0;
            default -> 1 + random.nextInt(100);
        };
    }

    byte[] bytes() {
        byte[] bytes = new byte[full ? 3 : random.nextInt(140)];
        random.nextBytes(bytes);
        return bytes;
    }
}
