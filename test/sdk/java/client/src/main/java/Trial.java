import com.alibaba.nacos.api.NacosFactory;
import com.alibaba.nacos.api.config.ConfigService;
import com.alibaba.nacos.api.config.listener.Listener;
import com.alibaba.nacos.api.exception.NacosException;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.listener.NamingEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executor;

/** What an application does with the Java client, over a crash of the server, a new key of sessions and the end of its login. */
public class Trial {
  static final String GROUP = "DEFAULT_GROUP";
  static final List<List<Instance>> told = new CopyOnWriteArrayList<>();

  static Properties settings(String password) {
    Properties p = new Properties();
    p.put("serverAddr", System.getenv("MUSTER_SERVER"));
    if (System.getenv("MUSTER_USER") != null) {
      p.put("username", System.getenv("MUSTER_USER"));
      p.put("password", password);
    }
    return p;
  }

  static void demand(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
    System.out.println("seen: " + what);
  }

  /** Waits for up to 20 s; errors of clients that are connecting again count as not yet. */
  static void await(String what, Callable<Boolean> holds) throws Exception {
    Exception last = null;
    for (long end = System.currentTimeMillis() + 20_000; System.currentTimeMillis() < end; Thread.sleep(50)) {
      try {
        if (holds.call()) {
          System.out.println("seen: " + what);
          return;
        }
      } catch (NacosException e) {
        last = e;
      }
    }
    throw new AssertionError(what + ", callbacks: " + told, last);
  }

  /** Has something done to the server, and returns when it is done. */
  static void order(String what) throws IOException {
    HttpURLConnection asked = (HttpURLConnection) new URL(System.getenv("MUSTER_ORDERS") + "/" + what).openConnection();
    asked.setReadTimeout(60_000);
    asked.getResponseCode();
  }

  static Instance instance(String ip, int port) {
    Instance i = new Instance();
    i.setIp(ip);
    i.setPort(port);
    i.setWeight(2.0);
    i.setMetadata(new HashMap<>(Map.of("zone", "a")));
    return i;
  }

  static String md5(String text) throws Exception {
    StringBuilder hex = new StringBuilder();
    for (byte b : MessageDigest.getInstance("MD5").digest(text.getBytes(StandardCharsets.UTF_8))) {
      hex.append(String.format("%02x", b));
    }
    return hex.toString();
  }

  public static void main(String[] args) throws Exception {
    if (System.getenv("MUSTER_USER") != null) {
      refused();
    }
    NamingService naming = NacosFactory.createNamingService(settings(System.getenv("MUSTER_PASSWORD")));
    ConfigService configs = NacosFactory.createConfigService(settings(System.getenv("MUSTER_PASSWORD")));
    List<String> contents = new CopyOnWriteArrayList<>();
    naming(naming, told);
    configuration(configs, contents);
    if (System.getenv("MUSTER_USER") != null) {
      order("rotate");
      demand(configs.publishConfig("app.yaml", GROUP, "a: 0\n"), "a publish under a new key");
      await("a callback with what was published so", () -> contents.get(contents.size() - 1).equals("a: 0\n"));
      order("expire");
      demand(configs.publishConfig("app.yaml", GROUP, "a: 00\n"), "a publish after the end of the login");
      await("a callback with what was published then", () -> contents.get(contents.size() - 1).equals("a: 00\n"));
      int before = told.size();
      naming.registerInstance("pay", instance("192.0.2.2", 80));
      await("a callback with what was registered then", () -> told.size() > before && told.get(told.size() - 1).get(0).getIp().equals("192.0.2.2"));
      naming.registerInstance("pay", instance("192.0.2.1", 80));
      await("a callback with the first again", () -> told.get(told.size() - 1).get(0).getIp().equals("192.0.2.1"));
    }

    order("restart");
    await("a publish after the crash", () -> configs.publishConfig("app.yaml", GROUP, "a: 4\n"));
    await("a callback after the crash", () -> contents.get(contents.size() - 1).equals("a: 4\n"));
    await("the instance after the crash", () -> naming.selectInstances("pay", true, false).size() == 1);
    naming.registerInstance("late", instance("192.0.2.9", 80));
    await("a registration after the crash", () -> naming.getAllInstances("late", false).size() == 1);
    demand(told.stream().dropWhile(List::isEmpty).noneMatch(List::isEmpty), "no callback with an empty list since: " + told.size() + " callbacks");

    naming.deregisterInstance("pay", "192.0.2.1", 80);
    await("a callback with nobody", () -> told.get(told.size() - 1).isEmpty());
    demand(configs.removeConfig("app.yaml", GROUP), "the document removed");
    await("no document", () -> configs.getConfig("app.yaml", GROUP, 3000) == null);
    naming.shutDown();
    configs.shutDown();
    System.exit(0);
  }

  static void naming(NamingService naming, List<List<Instance>> told) throws Exception {
    demand(naming.getServerStatus().equals("UP"), "the server up");
    naming.subscribe("pay", e -> told.add(new ArrayList<>(((NamingEvent) e).getInstances())));
    naming.registerInstance("pay", instance("192.0.2.1", 80));
    await("a callback with the instance", () -> !told.isEmpty() && told.get(told.size() - 1).size() == 1);
    Instance seen = naming.selectInstances("pay", true).get(0);
    demand(seen.getWeight() == 2.0 && seen.getMetadata().get("zone").equals("a"), "its weight and metadata");
    demand(naming.selectOneHealthyInstance("pay").getIp().equals("192.0.2.1"), "one that is chosen");
    if (Boolean.getBoolean("batch")) { // clients of 2.0 have none
      NamingService.class.getMethod("batchRegisterInstance", String.class, String.class, List.class)
          .invoke(naming, "many", GROUP, List.of(instance("192.0.2.1", 1), instance("192.0.2.1", 2), instance("192.0.2.1", 3)));
      demand(naming.getAllInstances("many", false).size() == 3, "a batch of three");
      NamingService.class.getMethod("batchDeregisterInstance", String.class, String.class, List.class)
          .invoke(naming, "many", GROUP, List.of(instance("192.0.2.1", 2)));
      await("two of them", () -> naming.getAllInstances("many", false).size() == 2);
    }
    Instance lasting = instance("192.0.2.1", 9);
    lasting.setEphemeral(false);
    naming.registerInstance("lasting", lasting);
    await("a persistent instance", () -> naming.getAllInstances("lasting", false).size() == 1);
    naming.deregisterInstance("lasting", lasting);
    await("it gone", () -> naming.getAllInstances("lasting", false).isEmpty());
    demand(naming.getServicesOfServer(1, 100).getData().contains(GROUP + "@@pay"), "the service listed");
  }

  static void configuration(ConfigService configs, List<String> contents) throws Exception {
    demand(configs.getConfig("app.yaml", GROUP, 3000) == null, "no document before");
    configs.addListener("app.yaml", GROUP, new Listener() {
      @Override
      public Executor getExecutor() {
        return null;
      }

      @Override
      public void receiveConfigInfo(String content) {
        contents.add(String.valueOf(content));
      }
    });
    demand(configs.publishConfig("app.yaml", GROUP, "a: 1\n", "yaml"), "a publish");
    await("a callback with its content", () -> contents.equals(List.of("a: 1\n")));
    demand(configs.getConfig("app.yaml", GROUP, 3000).equals("a: 1\n"), "its content");
    demand(configs.publishConfigCas("app.yaml", GROUP, "a: 2\n", md5("a: 1\n")), "a publish over the content that is known");
    boolean taken;
    try {
      taken = configs.publishConfigCas("app.yaml", GROUP, "a: 3\n", md5("a: 1\n"));
    } catch (NacosException e) {
      taken = false;
    }
    demand(!taken, "none over another one");
    await("a callback for each", () -> contents.equals(List.of("a: 1\n", "a: 2\n")));
  }

  static void refused() throws Exception {
    NamingService wrong = NacosFactory.createNamingService(settings("wrong"));
    try {
      wrong.registerInstance("pay", instance("192.0.2.8", 80));
      throw new AssertionError("a wrong password registers");
    } catch (NacosException e) {
      System.out.println("seen: a wrong password refused: " + e.getErrMsg());
    }
    wrong.shutDown();
  }
}
