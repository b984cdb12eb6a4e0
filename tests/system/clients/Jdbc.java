import java.io.StringReader;
import java.io.StringWriter;
import java.sql.*;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.PGStatement;

/** What Java programs do with PostgreSQL. Arguments: URL, token. Prints a line for each thing that worked. */
public class Jdbc {
    static Connection open(String url, String token, String... more) throws SQLException {
        Properties p = new Properties();
        p.setProperty("user", "test");
        p.setProperty("password", token);
        for (int i = 0; i < more.length; i += 2)
            p.setProperty(more[i], more[i + 1]);
        return DriverManager.getConnection(url, p);
    }

    static void check(boolean ok, String what) {
        if (!ok)
            throw new AssertionError(what);
        System.out.println(what);
    }

    static void batches(Connection c) throws SQLException {
        try (Statement s = c.createStatement()) {
            s.execute("CREATE TEMPORARY TABLE b (i int, t text)");
        }
        c.setAutoCommit(false);
        try (PreparedStatement s = c.prepareStatement("INSERT INTO b VALUES (?, ?)")) {
            for (int i = 0; i < 2000; i++) {
                s.setInt(1, i);
                s.setString(2, "v" + i);
                s.addBatch();
            }
            s.executeBatch();
        }
        c.commit();
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("SELECT count(*), sum(i) FROM b")) {
            check(r.next() && r.getInt(1) == 2000 && r.getInt(2) == 1999000, "batch");
        }
        c.setAutoCommit(true);
    }

    static void serverPrepare(Connection c) throws SQLException {
        try (PreparedStatement s = c.prepareStatement("SELECT ? + 1")) {
            for (int i = 0; i < 20; i++) {
                s.setInt(1, i);
                try (ResultSet r = s.executeQuery()) {
                    r.next();
                    if (r.getInt(1) != i + 1)
                        throw new AssertionError("value");
                }
            }
            check(s.unwrap(PGStatement.class).isUseServerPrepare(), "server-side prepare");
        }
    }

    static void fetchSize(Connection c) throws SQLException {
        c.setAutoCommit(false);
        try (Statement s = c.createStatement()) {
            s.setFetchSize(100);
            int n = 0;
            try (ResultSet r = s.executeQuery("SELECT i FROM b ORDER BY i")) {
                while (r.next())
                    if (r.getInt(1) != n++)
                        throw new AssertionError("order");
            }
            check(n == 2000, "fetch size");
        }
        c.commit();
        c.setAutoCommit(true);
    }

    static void savepoints(Connection c) throws SQLException {
        c.setAutoCommit(false);
        try (Statement s = c.createStatement()) {
            Savepoint p = c.setSavepoint();
            try {
                s.execute("DELETE FROM public.forbidden WHERE a = 1");
                throw new AssertionError("not refused");
            } catch (SQLException e) {
                check("42501".equals(e.getSQLState()) && e.getMessage().contains("hands off"), "refusal");
            }
            c.rollback(p);
            s.executeUpdate("UPDATE b SET t = 'x' WHERE i = 1");
        }
        c.commit();
        c.setAutoCommit(true);
        check(true, "savepoint");
    }

    static void copy(Connection c) throws Exception {
        var copies = c.unwrap(PGConnection.class).getCopyAPI();
        check(copies.copyIn("COPY b FROM STDIN (FORMAT csv)", new StringReader("9001,a\n9002,b\n")) == 2, "copy in");
        StringWriter out = new StringWriter();
        copies.copyOut("COPY (SELECT t FROM b WHERE i > 9000 ORDER BY i) TO STDOUT", out);
        check(out.toString().equals("a\nb\n"), "copy out");
    }

    static void metadata(Connection c) throws SQLException {
        try (ResultSet r = c.getMetaData().getTables(null, "pg_catalog", "pg_class", null)) {
            check(r.next(), "tables");
        }
        try (ResultSet r = c.getMetaData().getColumns(null, "pg_catalog", "pg_class", "rel%")) {
            check(r.next(), "columns");
        }
        try (ResultSet r = c.getMetaData().getPrimaryKeys(null, "pg_catalog", "pg_class")) {
            check(r != null, "primary keys");
        }
        check(c.getMetaData().getDatabaseMajorVersion() == 15, "version");
    }

    static void keysAndCalls(Connection c) throws SQLException {
        try (Statement s = c.createStatement()) {
            s.execute("CREATE TEMPORARY TABLE k (id serial, v text)");
            s.executeUpdate("INSERT INTO k (v) VALUES ('a'), ('b')", Statement.RETURN_GENERATED_KEYS);
            try (ResultSet r = s.getGeneratedKeys()) {
                check(r.next() && r.getInt(1) == 1 && r.next() && r.getInt(1) == 2, "generated keys");
            }
        }
        try (CallableStatement s = c.prepareCall("{? = call upper(?)}")) {
            s.registerOutParameter(1, Types.VARCHAR);
            s.setString(2, "x");
            s.execute();
            check(s.getString(1).equals("X"), "call");
        }
    }

    static void cancel(Connection c) throws Exception {
        try (Statement s = c.createStatement()) {
            s.setQueryTimeout(1);
            try {
                s.execute("SELECT pg_sleep(100)");
                throw new AssertionError("not cancelled");
            } catch (SQLException e) {
                check("57014".equals(e.getSQLState()), "cancel");
            }
        }
    }

    public static void main(String[] a) throws Exception {
        try (Connection c = open(a[0], a[1])) {
            batches(c);
            serverPrepare(c);
            fetchSize(c);
            savepoints(c);
            copy(c);
            metadata(c);
            keysAndCalls(c);
            cancel(c);
            check(c.isValid(5), "valid");
        }
        try (Connection c = open(a[0], a[1], "preferQueryMode", "simple");
             PreparedStatement s = c.prepareStatement("SELECT ?")) {
            s.setString(1, "it's");
            try (ResultSet r = s.executeQuery()) {
                check(r.next() && r.getString(1).equals("it's"), "simple mode");
            }
        }
        try (Connection c = open(a[0], a[1], "reWriteBatchedInserts", "true", "binaryTransfer", "true",
                                 "prepareThreshold", "-1")) {
            batches(c);
            serverPrepare(c);
        }
    }
}
