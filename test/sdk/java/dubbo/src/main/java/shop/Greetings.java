package shop;

/** What one greeter after the other is asked. */
public interface Greetings {
  String whoami();
}
