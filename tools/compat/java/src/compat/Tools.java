package compat;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;

import org.apache.kafka.common.utils.Exit;

/**
 * Runs the main method of one of Kafka's tools as its script would, in this JVM.
 *
 * Each run loads the tool's classes anew: some keep counts in static fields.
 */
final class Tools {
    private Tools() {}

    record Result(int exit, String out, String err) {}

    /** Unwinds a tool that called {@link Exit#exit}. */
    private static final class Exited extends Error {
        Exited(int status) {
            super("exit " + status, null, false, false);
        }
    }

    static Result run(String mainClass, String[] args, String stdin) throws Throwable {
        InputStream oldIn = System.in;
        PrintStream oldOut = System.out;
        PrintStream oldErr = System.err;
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        // The first call counts: a tool may catch the unwinding and call again.
        AtomicReference<Integer> status = new AtomicReference<>();
        List<Runnable> hooks = new CopyOnWriteArrayList<>();
        Exit.Procedure exit = (code, message) -> {
            status.compareAndSet(null, code);
            throw new Exited(code);
        };
        Set<Thread> hooksBefore = Set.copyOf(jvmHooks().keySet());
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        System.setIn(new ByteArrayInputStream(stdin.getBytes(StandardCharsets.UTF_8)));
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        ClassLoader oldLoader = Thread.currentThread().getContextClassLoader();
        try {
            ClassLoader loader = new FreshTools(Tools.class.getClassLoader());
            Thread.currentThread().setContextClassLoader(loader);
            try {
                Class.forName(mainClass, true, loader).getMethod("main", String[].class).invoke(null, (Object) args);
            } catch (InvocationTargetException e) {
                if (!(e.getCause() instanceof Exited)) {
                    e.getCause().printStackTrace();
                    status.compareAndSet(null, 1);
                }
            }
            hooks.forEach(Runnable::run);
            for (Thread hook : List.copyOf(jvmHooks().keySet())) {
                if (!hooksBefore.contains(hook)) {
                    Runtime.getRuntime().removeShutdownHook(hook);
                    hook.run();
                }
            }
        } finally {
            Thread.currentThread().setContextClassLoader(oldLoader);
            System.setIn(oldIn);
            System.setOut(oldOut);
            System.setErr(oldErr);
            Exit.resetExitProcedure();
            Exit.resetHaltProcedure();
            Exit.resetShutdownHookAdder();
        }
        Integer code = status.get();
        return new Result(code == null ? 0 : code,
            out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }

    /**
     * The verifiable clients register with the JVM itself, flush and report in that hook. Needs
     * {@code --add-opens java.base/java.lang=ALL-UNNAMED}.
     */
    @SuppressWarnings("unchecked")
    private static Map<Thread, Thread> jvmHooks() throws ReflectiveOperationException {
        Field hooks = Class.forName("java.lang.ApplicationShutdownHooks").getDeclaredField("hooks");
        hooks.setAccessible(true);
        return (Map<Thread, Thread>) hooks.get(null);
    }

    /** Defines the tools' own classes itself and leaves the rest to the parent. */
    private static final class FreshTools extends ClassLoader {
        FreshTools(ClassLoader parent) {
            super(parent);
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (!name.startsWith("org.apache.kafka.tools.")) {
                return super.loadClass(name, resolve);
            }
            synchronized (getClassLoadingLock(name)) {
                Class<?> loaded = findLoadedClass(name);
                return loaded != null ? loaded : define(name);
            }
        }

        private Class<?> define(String name) throws ClassNotFoundException {
            try (InputStream in = getParent().getResourceAsStream(name.replace('.', '/') + ".class")) {
                if (in == null) {
                    throw new ClassNotFoundException(name);
                }
                byte[] bytes = in.readAllBytes();
                return defineClass(name, bytes, 0, bytes.length);
            } catch (IOException e) {
                throw new ClassNotFoundException(name, e);
            }
        }
    }
}
