using System.Text.Json;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tokenization;

/// <summary>Reads Hugging Face's tokenizer.json with a BPE model.</summary>
/// <seealso href="https://huggingface.co/docs/tokenizers"/>
internal static class TokenizerJson
{
    private const int MaxBytes = 1 << 26;

    /// <exception cref="CheckpointException">The file is damaged or uses a part that is not supported.</exception>
    public static Tokenizer Load(string path, TokenizerConfig config) => Read(Path.GetFileName(path), CheckpointJson.Load(path, MaxBytes), config);

    private static Tokenizer Read(string fileName, CheckpointJson json, TokenizerConfig config)
    {
        CheckpointJson model = json.Get("model");
        CheckModel(model);
        List<EncodingStep> normalizer = TokenizerJsonSteps.Normalizer(json.Find("normalizer"));
        List<EncodingStep> preTokenizer = TokenizerJsonSteps.PreTokenizer(fileName, json.Find("pre_tokenizer"), out bool byteLevel);
        bool byteFallback = Flag(model, "byte_fallback");
        (TokenText text, bool stripsLeadingSpace) = TokenizerJsonDecoder.Read(json.Find("decoder"), byteLevel, byteFallback);
        List<AddedToken> added = ReadAddedTokens(json.Find("added_tokens"), normalizer);
        Vocabulary vocabulary = ReadVocabulary(model.Get("vocab"), added, text);
        MergeTable merges = ReadMerges(model.Get("merges"), vocabulary);
        int unknownId = model.Find("unk_token") is { IsNull: false } unknown ? vocabulary.Find(unknown.Text()) : -1;
        EncodingStep bpe = byteLevel
            ? new ByteLevelBpe(vocabulary, merges, unknownId, wholePieces: Flag(model, "ignore_merges"))
            : new CodePointBpe(vocabulary, merges, unknownId, byteFallback, Flag(model, "fuse_unk"));
        EncodingStep[] steps =
        [
            new AddedTokenStep(added.Where(token => !token.Normalized)), .. normalizer,
            new AddedTokenStep(added.Where(token => token.Normalized)), .. preTokenizer,
            .. !byteLevel && WordStep.IsExact(vocabulary) ? [new WordStep()] : Array.Empty<EncodingStep>(), bpe,
        ];
        (int[] prefix, int[] suffix) = TokenizerJsonTemplate.Read(json.Find("post_processor"), vocabulary, config);
        return new Tokenizer(EncodingStep.Chain(steps), vocabulary, Special(vocabulary, config, prefix, unknownId), prefix, suffix, stripsLeadingSpace);
    }

    private static void CheckModel(CheckpointJson model)
    {
        string type = model.Find("type") is { IsNull: false } named ? named.Text() : "BPE";
        if (type != "BPE")
        {
            throw model.Find("type").Error($"is {CheckpointException.Quote(type)}; supported is BPE");
        }
        foreach (string affix in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
        {
            if (model.Find(affix) is { IsNull: false } value && value.Text().Length > 0)
            {
                throw value.Error("is not supported");
            }
        }
    }

    /// <summary>A token that is sought in normalized text is sought in its own normalized form.</summary>
    private static List<AddedToken> ReadAddedTokens(CheckpointJson tokens, List<EncodingStep> normalizer)
    {
        List<AddedToken> added = [];
        foreach (CheckpointJson json in tokens.IsNull ? [] : tokens.Items())
        {
            AddedToken token = AddedTokenJson.Read(json, Id(json.Get("id")));
            added.Add(token.Normalized && normalizer.Count > 0 ? token with { Content = CollectingStep.Run(normalizer, token.Content) } : token);
        }
        return AddedTokenJson.CheckTotal(added, tokens);
    }

    private static Vocabulary ReadVocabulary(CheckpointJson tokens, List<AddedToken> added, TokenText text)
    {
        Vocabulary.Builder builder = new();
        foreach ((string token, CheckpointJson id) in tokens.Properties())
        {
            builder.Add(Id(id), token, text.Bytes(token), special: false);
        }
        foreach (AddedToken token in added)
        {
            builder.Add(token);
        }
        return builder.Build();
    }

    private static MergeTable ReadMerges(CheckpointJson json, Vocabulary vocabulary)
    {
        List<(int Left, int Right, int Rank, int Merged)> merges = [];
        int rank = 0;
        foreach (CheckpointJson merge in json.Items())
        {
            (string left, string right) = Pair(merge);
            int leftId = vocabulary.Find(left), rightId = vocabulary.Find(right), merged = vocabulary.Find(left + right);
            if (leftId < 0 || rightId < 0 || merged < 0)
            {
                throw merge.Error($"has {CheckpointException.Quote($"{left} {right}")}, which is not in the vocabulary");
            }
            if (!vocabulary.IsSpecial(merged))
            {
                merges.Add((leftId, rightId, rank, merged));
            }
            rank++;
        }
        return new MergeTable(merges);
    }

    /// <summary>A merge is written as "left right" or as ["left", "right"].</summary>
    private static (string Left, string Right) Pair(CheckpointJson merge)
    {
        if (merge.Kind == JsonValueKind.Array && merge.Count() == 2)
        {
            string[] parts = [.. merge.Items().Select(part => part.Text())];
            return (parts[0], parts[1]);
        }
        string text = merge.Text();
        int space = text.IndexOf(' ');
        return space >= 0 && space == text.LastIndexOf(' ')
            ? (text[..space], text[(space + 1)..])
            : throw merge.Error($"has {CheckpointException.Quote(text)}, which is no pair");
    }

    private static SpecialTokens Special(Vocabulary vocabulary, TokenizerConfig config, int[] prefix, int unknownId)
    {
        return new SpecialTokens(
            Bos: Find(config.Bos) ?? (prefix.Length > 0 ? prefix[0] : null),
            Eos: Find(config.Eos),
            Unknown: Find(config.Unknown) ?? (unknownId >= 0 ? unknownId : null),
            Pad: Find(config.Pad),
            EndOfTurn: Find("<|eot_id|>") ?? Find("<|im_end|>"));

        int? Find(string? token) => token is not null && vocabulary.Find(token) is var id and >= 0 ? id : null;
    }

    private static bool Flag(CheckpointJson json, string name) => json.Find(name) is { IsNull: false } flag && flag.Boolean();

    private static int Id(CheckpointJson json) => json.Integer() is var id and >= 0 and < Vocabulary.MaxSize
        ? (int)id
        : throw json.Error($"is the id {json.Integer()}, which is not between 0 and {Vocabulary.MaxSize}");
}
