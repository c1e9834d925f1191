using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tokenization;

/// <summary>Reads the tokenizer out of GGUF key-values: SentencePiece BPE ("llama") or byte-level BPE ("gpt2").</summary>
internal static class GgufTokenizer
{
    private const string Prefix = "tokenizer.ggml.";

    /// <exception cref="CheckpointException">The keys are absent, contradictory, or of a kind that is not supported.</exception>
    public static Tokenizer Load(GgufMetadata metadata)
    {
        string model = metadata.GetString(Prefix + "model");
        return model switch
        {
            "llama" => LoadSentencePiece(metadata),
            "gpt2" => LoadByteLevel(metadata),
            _ => throw metadata.Error(Prefix + "model", $"is {CheckpointException.Quote(model)}; supported are llama and gpt2"),
        };
    }

    private static Tokenizer LoadSentencePiece(GgufMetadata metadata)
    {
        IReadOnlyList<string> tokens = metadata.GetStrings(Prefix + "tokens");
        IReadOnlyList<float> scores = metadata.FindSingles(Prefix + "scores")
            ?? throw metadata.Error(Prefix + "scores", "is missing");
        SentencePieces pieces = ReadPieces(metadata, tokens, scores);
        return SentencePieceTokenizer.Build(pieces, ReadSpecial(metadata, tokens.Count, bos: 1, eos: 2, unknown: 0), [],
            new SentencePieceTokenizer.Options(
                AddBos: metadata.FindBoolean(Prefix + "add_bos_token") ?? true,
                AddEos: metadata.FindBoolean(Prefix + "add_eos_token") ?? false,
                AddDummyPrefix: metadata.FindBoolean(Prefix + "add_space_prefix") ?? true,
                RemoveExtraSpaces: metadata.FindBoolean(Prefix + "remove_extra_whitespaces") ?? false));
    }

    private static Tokenizer LoadByteLevel(GgufMetadata metadata)
    {
        IReadOnlyList<string> tokens = metadata.GetStrings(Prefix + "tokens");
        SentencePieces pieces = ReadPieces(metadata, tokens, scores: null);
        AddedToken[] added =
        [
            .. pieces.AddedTokens(SentencePieces.PieceKind.Control), .. pieces.AddedTokens(SentencePieces.PieceKind.Unknown),
            .. pieces.AddedTokens(SentencePieces.PieceKind.UserDefined),
        ];
        Vocabulary.Builder builder = new();
        for (int id = 0; id < tokens.Count; id++)
        {
            builder.Add(id, tokens[id], ByteAlphabet.ToBytes(tokens[id]), special: false);
        }
        foreach (AddedToken token in added)
        {
            builder.Add(token);
        }
        Vocabulary vocabulary = builder.Build();
        GgufPreTokenizer preTokenizer = GgufPreTokenizer.Read(metadata, Prefix + "pre");
        SpecialTokens special = ReadSpecial(metadata, tokens.Count, bos: null, eos: null, unknown: null);
        EncodingStep[] steps =
        [
            new AddedTokenStep(added), .. preTokenizer.Steps,
            new ByteLevelBpe(vocabulary, ReadMerges(metadata, vocabulary), special.Unknown ?? -1, preTokenizer.WholePieces),
        ];
        bool addBos = metadata.FindBoolean(Prefix + "add_bos_token") ?? preTokenizer.AddsBos;
        bool addEos = metadata.FindBoolean(Prefix + "add_eos_token") ?? false;
        return new Tokenizer(EncodingStep.Chain(steps), vocabulary, special,
            addBos && special.Bos is { } bos ? [bos] : [], addEos && special.Eos is { } eos ? [eos] : [], stripsLeadingSpace: false);
    }

    private static SentencePieces ReadPieces(GgufMetadata metadata, IReadOnlyList<string> tokens, IReadOnlyList<float>? scores)
    {
        IReadOnlyList<long>? types = metadata.FindIntegers(Prefix + "token_type");
        if (tokens.Count == 0 || (scores is not null && scores.Count != tokens.Count) || (types is not null && types.Count != tokens.Count))
        {
            throw metadata.Error(Prefix + "tokens", "has another length than scores or token_type");
        }
        SentencePieces pieces = new(metadata.FileName);
        for (int id = 0; id < tokens.Count; id++)
        {
            long type = types?[id] ?? (long)SentencePieces.PieceKind.Normal;
            pieces.Add(tokens[id], scores?[id] ?? 0, (SentencePieces.PieceKind)Math.Clamp(type, 0, int.MaxValue));
        }
        return pieces;
    }

    private static MergeTable ReadMerges(GgufMetadata metadata, Vocabulary vocabulary)
    {
        string key = Prefix + "merges";
        IReadOnlyList<string> lines = metadata.GetStrings(key);
        List<(int Left, int Right, int Rank, int Merged)> merges = [];
        for (int rank = 0; rank < lines.Count; rank++)
        {
            string line = lines[rank];
            int space = line.IndexOf(' ', Math.Min(1, line.Length));
            int left = space < 0 ? -1 : vocabulary.Find(line[..space]);
            int right = space < 0 ? -1 : vocabulary.Find(line[(space + 1)..]);
            int merged = space < 0 ? -1 : vocabulary.Find(line.Remove(space, 1));
            if (left < 0 || right < 0 || merged < 0)
            {
                throw metadata.Error(key, $"has {CheckpointException.Quote(line)}, which is no pair of tokens that make up a third");
            }
            if (!vocabulary.IsSpecial(merged))
            {
                merges.Add((left, right, rank, merged));
            }
        }
        return new MergeTable(merges);
    }

    private static SpecialTokens ReadSpecial(GgufMetadata metadata, int count, int? bos, int? eos, int? unknown)
    {
        return new SpecialTokens(Id("bos", bos), Id("eos", eos), Id("unknown", unknown), Id("padding", null), Id("eot", null));

        int? Id(string role, int? absent)
        {
            string key = $"{Prefix}{role}_token_id";
            int? id = metadata.FindInt32(key) ?? absent;
            return id is null || (id >= 0 && id < count) ? id : throw metadata.Error(key, $"is {id}, outside the vocabulary of {count}");
        }
    }
}
