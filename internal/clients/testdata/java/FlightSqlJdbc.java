// Reads with Apache Arrow's Flight SQL JDBC driver, which DBeaver and many others use: one job
// comes on standard input, and for each scene there is a line of standard output.

import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Calendar;
import java.util.List;
import java.util.Properties;
import java.util.TimeZone;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class FlightSqlJdbc {
  private static String job;

  interface Scene {
    String show() throws Exception;
  }

  public static void main(String[] args) throws Exception {
    TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
    job = new String(System.in.readAllBytes());
    scene("a query", () -> query("SELECT * FROM kinds ORDER BY time"));
    scene("types of columns", FlightSqlJdbc::types);
    scene("catalogs, schemas and table types", FlightSqlJdbc::schemas);
    scene("tables", FlightSqlJdbc::tables);
    scene("columns", FlightSqlJdbc::columns);
    scene("a prepared query", FlightSqlJdbc::prepared);
    scene("a prepared query with a time", FlightSqlJdbc::preparedTime);
    scene("what a prepared query takes and gives", FlightSqlJdbc::preparedTypes);
    scene("information about the server", FlightSqlJdbc::information);
    scene("user and password: the password is the token", FlightSqlJdbc::password);
    scene("no rows", () -> query("SELECT temp FROM home WHERE temp > 100"));
    scene("a table that there is not", () -> query("SELECT * FROM attic"));
    scene("a statement that is wrong", () -> query("SELECT temp FROM home WHERE"));
    scene("a statement that writes", FlightSqlJdbc::update);
    scene("a wrong token", () -> count(connect("wrong", of("database"))));
    scene("a database that may not be read", () -> count(connect(of("token"), "other")));
    scene("a database that there is not", () -> count(connect(of("operator"), "nowhere")));
    System.exit(0); // a connection that failed leaves threads behind
  }

  static void scene(String title, Scene scene) {
    String text;
    try {
      text = scene.show();
    } catch (Exception e) {
      text = e.getClass().getName();
      String last = "";
      for (Throwable t = e; t != null; t = t.getCause()) {
        if (t.getMessage() != null && !t.getMessage().equals(last)) text += "\n" + t.getMessage();
        last = t.getMessage();
      }
    }
    System.out.println("{\"title\":" + quoted(title) + ",\"text\":" + quoted(text) + "}");
  }

  // of returns a text of the job. Its texts have no escapes.
  static String of(String name) {
    Matcher m = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(job);
    m.find();
    return m.group(1);
  }

  static String quoted(String text) {
    StringBuilder b = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') b.append('\\').append(c);
      else if (c < ' ') b.append(String.format("\\u%04x", (int) c));
      else b.append(c);
    }
    return b.append('"').toString();
  }

  static String jdbcUrl() {
    return of("url").replace("http://", "jdbc:arrow-flight-sql://") + "/?useEncryption=false";
  }

  static Connection connect(String token, String database) throws SQLException {
    return DriverManager.getConnection(jdbcUrl() + "&token=" + token + "&database=" + database);
  }

  static Connection connect() throws SQLException {
    return connect(of("token"), of("database"));
  }

  static String query(String sql) throws SQLException {
    try (Connection c = connect(); Statement s = c.createStatement()) {
      return show(s.executeQuery(sql));
    }
  }

  static String count(Connection connection) throws SQLException {
    try (Connection c = connection; Statement s = c.createStatement()) {
      return show(s.executeQuery("SELECT count(*) AS n FROM home"));
    }
  }

  static String show(ResultSet r, int... columns) throws SQLException {
    StringBuilder b = new StringBuilder();
    ResultSetMetaData m = r.getMetaData();
    List<Integer> shown = new ArrayList<>();
    for (int c : columns) shown.add(c);
    for (int i = 1; columns.length == 0 && i <= m.getColumnCount(); i++) shown.add(i);
    for (int i : shown) b.append(m.getColumnLabel(i)).append(" | ");
    while (r.next()) {
      b.append('\n');
      for (int i : shown) {
        Object value = r.getObject(i);
        b.append(r.wasNull() ? "null" : value).append(" | ");
      }
    }
    r.close();
    return b.toString();
  }

  static String types() throws SQLException {
    try (Connection c = connect(); Statement s = c.createStatement()) {
      ResultSet r = s.executeQuery("SELECT * FROM kinds ORDER BY time");
      ResultSetMetaData m = r.getMetaData();
      StringBuilder b = new StringBuilder();
      r.next();
      for (int i = 1; i <= m.getColumnCount(); i++) {
        Object value = r.getObject(i);
        b.append(m.getColumnName(i)).append(": ").append(m.getColumnTypeName(i)).append(", ");
        b.append(value == null ? "null" : value.getClass().getSimpleName()).append('\n');
      }
      Calendar utc = Calendar.getInstance(TimeZone.getTimeZone("UTC"));
      b.append("time in UTC: ").append(r.getTimestamp("time", utc)).append('\n');
      return b.append("time as text: ").append(r.getString("time")).toString();
    }
  }

  static String schemas() throws SQLException {
    try (Connection c = connect()) {
      DatabaseMetaData m = c.getMetaData();
      return show(m.getCatalogs()) + "\n" + show(m.getSchemas()) + "\n" + show(m.getTableTypes());
    }
  }

  static String tables() throws SQLException {
    try (Connection c = connect()) {
      DatabaseMetaData m = c.getMetaData();
      return show(m.getTables(null, "iox", "%", null), 1, 2, 3, 4)
          + "\nthat match h%\n" + show(m.getTables(null, null, "h%", new String[] {"BASE TABLE"}), 1, 2, 3, 4);
    }
  }

  static String columns() throws SQLException {
    try (Connection c = connect()) {
      // table, column, type, type name, nullable, position
      return show(c.getMetaData().getColumns(null, "iox", "kinds", "%"), 3, 4, 5, 6, 11, 17);
    }
  }

  static String prepared() throws SQLException {
    try (Connection c = connect();
        PreparedStatement s = c.prepareStatement("SELECT time, temp FROM home WHERE room = ? AND temp >= ? ORDER BY time")) {
      StringBuilder b = new StringBuilder();
      for (String room : new String[] {"kitchen", "garage"}) {
        s.setString(1, room);
        s.setDouble(2, 9.5);
        b.append(show(s.executeQuery())).append('\n');
      }
      return b.toString();
    }
  }

  static String preparedTime() throws SQLException {
    try (Connection c = connect();
        PreparedStatement s = c.prepareStatement("SELECT room, temp FROM home WHERE time >= ? AND co < ? ORDER BY room, time")) {
      s.setTimestamp(1, Timestamp.from(Instant.parse("2025-01-01T00:02:00Z")));
      s.setLong(2, 9);
      return show(s.executeQuery());
    }
  }

  static String preparedTypes() throws SQLException {
    try (Connection c = connect();
        PreparedStatement s = c.prepareStatement("SELECT time, room, temp FROM home WHERE room = ?")) {
      StringBuilder b = new StringBuilder();
      b.append(s.getParameterMetaData().getParameterCount()).append(" parameter\n");
      ResultSetMetaData m = s.getMetaData();
      for (int i = 1; i <= m.getColumnCount(); i++) {
        b.append(m.getColumnName(i)).append(": ").append(m.getColumnTypeName(i)).append('\n');
      }
      return b.toString();
    }
  }

  static String information() throws SQLException {
    try (Connection c = connect()) {
      DatabaseMetaData m = c.getMetaData();
      return "product: " + m.getDatabaseProductName()
          + "\nversion: " + m.getDatabaseProductVersion()
          + "\nread only: " + m.isReadOnly()
          + "\nquotes names with: " + m.getIdentifierQuoteString()
          + "\ntransactions: " + m.supportsTransactions()
          + "\nbatch updates: " + m.supportsBatchUpdates();
    }
  }

  static String password() throws SQLException {
    Properties p = new Properties();
    p.put("user", "anybody");
    p.put("password", of("token"));
    p.put("database", of("database"));
    return count(DriverManager.getConnection(jdbcUrl(), p));
  }

  static String update() throws SQLException {
    try (Connection c = connect(); Statement s = c.createStatement()) {
      return s.executeUpdate("DELETE FROM home") + " rows";
    }
  }
}
