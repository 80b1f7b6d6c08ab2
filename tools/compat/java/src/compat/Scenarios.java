package compat;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * Every non-private static method of the classes that {@link Version} lists that takes one {@link Context} is a
 * scenario, named {@code Class.method}. It passes by returning.
 */
final class Scenarios {
    private Scenarios() {}

    static List<String> names() {
        return methods().map(Scenarios::name).sorted(Comparator.naturalOrder()).toList();
    }

    static void run(String name, Context context) throws Throwable {
        Method method = methods().filter(m -> name(m).equals(name)).findFirst()
            .orElseThrow(() -> new IllegalArgumentException("no scenario " + name));
        try {
            method.invoke(null, context);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    private static Stream<Method> methods() {
        return Version.SCENARIOS.stream().flatMap(c -> Stream.of(c.getDeclaredMethods()))
            .filter(m -> Modifier.isStatic(m.getModifiers()) && !Modifier.isPrivate(m.getModifiers()))
            .filter(m -> !m.isSynthetic())
            .filter(m -> List.of(m.getParameterTypes()).equals(List.of(Context.class)));
    }

    private static String name(Method method) {
        return method.getDeclaringClass().getSimpleName().replace("Scenarios", "") + "." + method.getName();
    }
}
