using LlamaServe.Engine.Text;

namespace LlamaServe.Engine.Tests.Text;

public class StopStringMatcherTests
{
    [Test]
    public void Holds_back_what_may_become_a_stop_string_and_no_more()
    {
        var matcher = new StopStringMatcher(new StopStrings(["END"]));
        Assert.That(matcher.Append("abcE", true, false), Is.EqualTo("abc"));
        Assert.That(matcher.Append("N", true, false), Is.Empty);
        Assert.That(matcher.Append("x", true, false), Is.EqualTo("ENx"));
        Assert.That(matcher.Append("E", true, false), Is.Empty);
        Assert.That(matcher.Flush(), Is.EqualTo("E"));
    }

    [Test]
    public void A_piece_that_is_certain_as_a_whole_is_passed_on_as_it_is()
    {
        var matcher = new StopStringMatcher(new StopStrings(["END"]));
        string piece = new('a', 3);
        Assert.That(matcher.Append(piece, true, false), Is.SameAs(piece));
        Assert.That(matcher.Append("E", true, false), Is.Empty);
        Assert.That(matcher.Append(piece, true, false), Is.EqualTo("Eaaa"));
        Assert.That(matcher.Append(piece, true, false), Is.SameAs(piece));
    }

    [Test]
    public void The_match_that_is_complete_first_wins_and_of_equals_the_longest()
    {
        var matcher = new StopStringMatcher(new StopStrings(["bcd", "abcdef", "d", "abcd"]));
        Assert.That(matcher.Append("xabcdef", true, false), Is.EqualTo("x"));
        Assert.That(matcher.Found, Is.EqualTo("abcd"));
    }

    [Test]
    public void A_match_that_comes_too_early_is_text()
    {
        var matcher = new StopStringMatcher(new StopStrings(["aa"]));
        Assert.That(matcher.Append("aaa", canStop: false, false) + matcher.Append("ab", true, false), Is.EqualTo("aa"));
        Assert.That(matcher.Found, Is.EqualTo("aa"), "the third and fourth letter");
    }

    [Test]
    public void Agrees_with_a_search_of_the_whole_text([Range(0, 299)] int seed)
    {
        var random = new Random(seed);
        string text = Letters(random, 60);
        string[] stops = [.. Enumerable.Range(0, random.Next(1, 5)).Select(_ => Letters(random, random.Next(1, 7)))];
        bool include = random.Next(2) == 0;
        (string expected, string? stop) = Search(text, stops, include);

        var matcher = new StopStringMatcher(new StopStrings(stops));
        string released = "";
        for (int at = 0; at < text.Length && matcher.Found is null;)
        {
            int length = Math.Min(random.Next(0, 5), text.Length - at);
            released += matcher.Append(text.Substring(at, length), true, include);
            at += length;
            Assert.That(text, Does.StartWith(released));
        }
        released += matcher.Found is null ? matcher.Flush() : "";
        Assert.That((released, matcher.Found), Is.EqualTo((expected, stop)));
    }

    private static string Letters(Random random, int length) => new([.. Enumerable.Range(0, length).Select(_ => "ab"[random.Next(2)])]);

    private static (string Text, string? Stop) Search(string text, string[] stops, bool include)
    {
        for (int end = 1; end <= text.Length; end++)
        {
            string? stop = stops.Where(s => text[..end].EndsWith(s, StringComparison.Ordinal)).MaxBy(s => s.Length);
            if (stop is not null)
            {
                return (include ? text[..end] : text[..(end - stop.Length)], stop);
            }
        }
        return (text, null);
    }
}
