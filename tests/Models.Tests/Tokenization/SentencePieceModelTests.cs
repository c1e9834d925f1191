using LlamaServe.Models.Tests.Weights;
using LlamaServe.Models.Tokenization;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Tokenization;

public sealed class SentencePieceModelTests
{
    private static readonly (string Text, float Score, int Kind)[] Pieces =
        [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), ("▁", -1, 1), ("a", -2, 1), ("b", -3, 1), ("▁a", -4, 1), ("ab", -5, 1), ("▁ab", -6, 1), ("<br>", 0, 4)];

    [Test]
    public void The_best_score_merges_first_and_the_leftmost_of_equals()
    {
        Assert.That(Load(Model(Pieces)).Encode("ab"), Is.EqualTo(new[] { 1, 8 }));
        Assert.That(Load(Model(Pieces[..8])).Encode("ab"), Is.EqualTo(new[] { 1, 6, 5 }), "▁a scores better than ab");
        (string, float, int)[] equal = [.. Pieces[..3], ("▁", -1, 1), ("a", -1, 1), ("aa", -2, 1)];
        Assert.That(Load(Model(equal)).Pieces("aaa"), Is.EqualTo(" |aa|a"));
    }

    [Test]
    public void Spaces_are_marked_and_a_dummy_one_goes_before_the_text_unless_the_model_says_otherwise()
    {
        Assert.That(Load(Model(Pieces)).Encode("a  a"), Is.EqualTo(new[] { 1, 6, 3, 6 }));
        Assert.That(Load(Model(Pieces)).Decode([1, 6, 3, 6]), Is.EqualTo("a  a"));
        Assert.That(Load(Model(Pieces, normalizer => normalizer.Number(3, 0))).Encode("a  a"), Is.EqualTo(new[] { 1, 4, 3, 6 }));
        Assert.That(Load(Model(Pieces, normalizer => normalizer.Number(4, 1))).Encode("  a   a "), Is.EqualTo(new[] { 1, 6, 6 }));
        Assert.That(Load(Model(Pieces, normalizer => normalizer.Number(4, 1))).Encode("   "), Is.EqualTo(new[] { 1 }));
        Assert.That(Load(Model(Pieces)).Encode(""), Is.EqualTo(new[] { 1 }));
    }

    [Test]
    public void User_defined_pieces_are_cut_out_and_control_pieces_only_when_asked_for()
    {
        Tokenizer tokenizer = Load(Model(Pieces));
        Assert.That(tokenizer.Encode("a<br>b"), Is.EqualTo(new[] { 1, 6, 9, 5 }));
        Assert.That(tokenizer.Encode("a</s>", parseSpecialTokens: true), Is.EqualTo(new[] { 1, 6, 2 }));
        Assert.That(tokenizer.Encode("a</s>"), Is.EqualTo(new[] { 1, 6, 0 }), "without byte pieces the unknown one stands for the run");
        Assert.That((tokenizer.IsSpecial(0), tokenizer.IsSpecial(2), tokenizer.IsSpecial(9)), Is.EqualTo((true, true, false)));
        Assert.That(tokenizer.TryGetId("</s>", out int id) && id == 2, Is.True);
        Assert.That(tokenizer.TryGetId("absent", out _), Is.False);
    }

    [Test]
    public void Configuration_beside_the_model_adds_tokens_and_decides_about_begin_and_end()
    {
        Tokenizer tokenizer = Load(Model(Pieces), """
            {"add_bos_token": false, "add_eos_token": true, "added_tokens_decoder": {"12": {"content": "<turn>", "special": true}}}
            """);
        Assert.That(tokenizer.Encode("a"), Is.EqualTo(new[] { 6, 2 }));
        Assert.That(tokenizer.Encode("a<turn>a", parseSpecialTokens: true), Is.EqualTo(new[] { 6, 12, 6, 2 }));
        Assert.That((tokenizer.VocabularySize, tokenizer.OrdinarySize), Is.EqualTo((13, 9)), "neither <turn> nor <br> is ordinary");
        Assert.That(tokenizer.Decode([6, 11, 12, 6]), Is.EqualTo("a a"));
    }

    [Test]
    public void What_is_not_supported_or_damaged_is_refused()
    {
        Refused("type 1; supported is 2", new ProtobufWriter().Message(1, new ProtobufWriter().Text(1, "a")).ToArray());
        Refused("normalizes text", Model(Pieces, normalizer => normalizer.Text(2, "map")));
        Refused("normalizes text", Model(Pieces, normalizer => normalizer.Number(5, 0)));
        Refused("has no tokens", Model([]));
        Refused("token 0 has an impossible", Model([("a", float.NaN, 1)]));
        Refused("token 0 has an impossible", Model([("a", 0, 9)]));
        Refused("too long to be real", Model([.. Enumerable.Range(0, 200).Select(i => (new string('a', 1000 + i), 0f, 1))]));
        Refused("no protobuf", Model(Pieces)[..^3]);
        Refused("no protobuf", [0xFF]);
        Refused("no protobuf", [0x0B]);
        Refused("empty", []);
    }

    private static byte[] Model((string Text, float Score, int Kind)[] pieces, Action<ProtobufWriter>? normalize = null)
    {
        ProtobufWriter model = new();
        foreach ((string text, float score, int kind) in pieces)
        {
            model.Message(1, new ProtobufWriter().Text(1, text).Single(2, score).Number(3, (ulong)kind));
        }
        ProtobufWriter normalizer = new ProtobufWriter().Text(1, "identity").Number(4, 0);
        normalize?.Invoke(normalizer);
        return model.Message(2, new ProtobufWriter().Number(3, 2)).Message(3, normalizer).ToArray();
    }

    private static Tokenizer Load(byte[] model, string? config = null)
    {
        using TemporaryFolder folder = new();
        folder.Write("tokenizer.model", model);
        if (config is not null)
        {
            folder.Write("tokenizer_config.json", config);
        }
        return TokenizerLoader.LoadSnapshot(folder.Path);
    }

    private static void Refused(string problem, byte[] model) => Assert.That(() => Load(model),
        Throws.TypeOf<CheckpointException>().With.Message.StartsWith("tokenizer.model: ").And.Message.Contains(problem));
}
