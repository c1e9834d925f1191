using LlamaServe.Models.Tokenization;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tests.Tokenization;

public sealed class SplitPatternTests
{
    [TestCase(PreTokenizerPatterns.Llama3, "I'LL  don't", "I|'LL| | don|'t")]
    [TestCase(PreTokenizerPatterns.Llama3, "12345 x", "123|45| x")]
    [TestCase(PreTokenizerPatterns.Llama3, "a\n\n  b  \n c", "a|\n\n| | b|  \n| c")]
    [TestCase(PreTokenizerPatterns.Llama3, "(foo)!!\n\n", "(foo|)!!\n\n")]
    [TestCase(PreTokenizerPatterns.Llama3, "it'ſ", "it|'ſ")]
    [TestCase(PreTokenizerPatterns.Qwen2, "123 x   ", "1|2|3| x|   ")]
    [TestCase(PreTokenizerPatterns.Gpt2, "Hello  wörld's 123!?\n", "Hello| | wörld|'s| 123|!?|\n")]
    [TestCase(PreTokenizerPatterns.Gpt2, "I'LL", "I|'|LL")]
    [TestCase(PreTokenizerPatterns.Tekken, "HelloWorld FOOBar 42", "Hello|World| FOOBar| |4|2")]
    [TestCase(PreTokenizerPatterns.Gpt2, "𝒜𝓑 𠮷x 🙂🙂", "𝒜𝓑| 𠮷x| 🙂🙂")]
    [TestCase("[0-9][0-9][0-9]", "ab1234567c", "ab|123|456|7c")]
    [TestCase(@"\p{N}", "½a٣", "½|a|٣")]
    [TestCase("a{2,3}|b{2}|c{2,}", "aaaaabbbcccc", "aaa|aa|bb|b|cccc")]
    [TestCase("a++b|a", "aab aaa", "aab| |a|a|a")]
    [TestCase(@"x(?:y|z)?(?=!)", "xy!xz!x!xy", "xy|!|xz|!|x|!xy")]
    [TestCase(@"\s+$|\s", "a  b  ", "a| | |b|  ")]
    [TestCase(@"[\]\-a-c^]+", "x]-b^d", "x|]-b^|d")]
    [TestCase(@"[^\S\n]+", "a \t\n b", "a| \t|\n| |b")]
    [TestCase(".", "a\nb", "a|\n|b")]
    public void Text_is_cut_where_the_pattern_says(string pattern, string text, string pieces) =>
        Assert.That(Cut(pattern, text), Is.EqualTo(pieces.Split('|')));

    [Test]
    public void The_pieces_are_the_text()
    {
        Random random = new(3);
        foreach (string pattern in (string[])[PreTokenizerPatterns.Gpt2, PreTokenizerPatterns.Llama3, PreTokenizerPatterns.Tekken])
        {
            for (int i = 0; i < 500; i++)
            {
                string text = RandomText.Next(random, 30);
                Assert.That(string.Concat(Cut(pattern, text)), Is.EqualTo(text));
            }
        }
    }

    [TestCase("(a+)+b")]
    [TestCase("(a|b)*")]
    [TestCase("a**")]
    [TestCase("a+?")]
    [TestCase("a{3,2}")]
    [TestCase("a{99999999999}")]
    [TestCase("(?<=a)b")]
    [TestCase(@"\bfoo")]
    [TestCase(@"(a)\1")]
    [TestCase(@"\p{Greek}")]
    [TestCase("[a-z&&[^b]]")]
    [TestCase("[b-a]")]
    [TestCase("[a")]
    [TestCase("(a")]
    [TestCase("a)")]
    [TestCase("\\")]
    [TestCase(@"\p{L")]
    [TestCase("^a")]
    [TestCase("((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))")]
    public void What_a_pattern_may_not_have_is_refused(string pattern) => Assert.That(() => SplitPattern.Parse("tokenizer.json", pattern),
        Throws.TypeOf<CheckpointException>().With.Message.StartsWith("tokenizer.json: the pre-tokenizer's pattern"));

    [Test]
    public void A_pattern_that_backtracks_without_bound_is_stopped()
    {
        string text = new('a', 20_000);
        Assert.That(() => Cut("a*a*a*a*b", text), Throws.TypeOf<CheckpointException>().With.Message.Contains("backtracks"));
        foreach (string pattern in (string[])[PreTokenizerPatterns.Gpt2, PreTokenizerPatterns.Llama3, PreTokenizerPatterns.Qwen2, PreTokenizerPatterns.Tekken])
        {
            foreach (char c in "aA1 \n!'\u3000中")
            {
                Assert.That(string.Concat(Cut(pattern, new string(c, 20_000))), Has.Length.EqualTo(20_000));
                Assert.That(string.Concat(Cut(pattern, string.Concat(Enumerable.Repeat(c + "\n", 10_000)))), Has.Length.EqualTo(20_000));
            }
        }
    }

    private static List<string> Cut(string pattern, string text)
    {
        PieceCollector collector = new();
        EncodingStep.Chain([new SplitStep(SplitPattern.Parse("tokenizer.json", pattern)), collector]).Encode(text, true, false, []);
        return collector.Pieces;
    }

    private sealed class PieceCollector : EncodingStep
    {
        public List<string> Pieces { get; } = [];

        public override void Encode(ReadOnlySpan<char> text, bool atStart, bool parseSpecialTokens, List<int> ids) => Pieces.Add(text.ToString());
    }
}
