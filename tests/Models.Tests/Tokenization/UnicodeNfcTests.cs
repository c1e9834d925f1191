using LlamaServe.Models.Tokenization;

namespace LlamaServe.Models.Tests.Tokenization;

public sealed class UnicodeNfcTests
{
    [TestCase("plain", "plain")]
    [TestCase("e\u0301", "\u00E9")]
    [TestCase("\u212B", "\u00C5", Description = "a singleton")]
    [TestCase("\u1E9B\u0323", "\u1E9B\u0323")]
    [TestCase("a\u0323\u0302", "\u1EAD", Description = "two steps")]
    [TestCase("a\u0302\u0323", "\u1EAD", Description = "marks sorted first")]
    [TestCase("a\u0315\u0300\u05AE\u0300b", "\u00E0\u05AE\u0300\u0315b")]
    [TestCase("\u0958", "\u0915\u093C", Description = "excluded from composition")]
    [TestCase("\u09C7\u09BE", "\u09CB", Description = "two starters")]
    [TestCase("\u1100\u1161\u11A8", "\uAC01")]
    [TestCase("\uAC00\u11A8", "\uAC01")]
    [TestCase("\uAC01\u11A8", "\uAC01\u11A8")]
    [TestCase("\uAC00\u11A7", "\uAC00\u11A7")]
    [TestCase("\U0001D15E", "\U0001D157\U0001D165", Description = "excluded from composition, beyond U+FFFF")]
    public void Normal_forms_are_those_of_Unicode(string text, string normalized) =>
        Assert.That(UnicodeNfc.Normalize(text), Is.EqualTo(normalized));

    [Test]
    public void A_lone_surrogate_becomes_the_replacement_character() =>
        Assert.That(UnicodeNfc.Normalize("\uD834x\uDC00"), Is.EqualTo("\uFFFDx\uFFFD"));

    [Test]
    public void Normalizing_twice_is_normalizing_once_and_the_quick_check_never_errs()
    {
        Random random = new(5);
        for (int i = 0; i < 20_000; i++)
        {
            string text = string.Concat(Enumerable.Range(0, random.Next(8)).Select(_ => (char)random.Next(0x20, random.Next(2) == 0 ? 0x400 : 0xD7FF)));
            string once = UnicodeNfc.Normalize(text);
            Assert.That(UnicodeNfc.Normalize(once), Is.EqualTo(once));
            Assert.That(!UnicodeNfc.IsCertainlyNormalized(text) || once == text, Is.True);
        }
    }

    [Test]
    public void A_long_run_of_marks_takes_no_quadratic_time()
    {
        string text = "a" + string.Concat(Enumerable.Repeat("\u0301\u0323", 50_000));
        Assert.That(UnicodeNfc.Normalize(text), Does.StartWith("\u1EA1\u0323").And.Length.EqualTo(100_000));
    }
}
